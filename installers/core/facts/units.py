"""systemd units as the manager has them loaded."""

from __future__ import annotations

from dataclasses import dataclass

from installers.core.model import Probe, Query, Unknown

PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "NeedDaemonReload"),
    *("FragmentPath", "DropInPaths", "ControlGroup", "Result"),
)


@dataclass(frozen=True, slots=True)
class UnitState:
    """A unit in systemd's own words. Empty words mean "not known before it is there" (predictions).

    ``load``: loaded, masked, not-found, error... ``active``: active, inactive, failed, activating...
    ``enabled``: enabled, disabled, static, masked... ``stale``: its files changed since they were loaded.
    ``cgroup``: path of its control group while it has one.
    """

    load: str
    active: str = ""
    sub: str = ""
    enabled: str = ""
    stale: bool = False
    fragment: str = ""
    dropins: tuple[str, ...] = ()
    cgroup: str = ""
    result: str = ""

    @property
    def running(self) -> bool:
        return self.active in ("active", "reloading", "refreshing")


@dataclass(frozen=True, slots=True)
class UnitInfo:
    """The state of one unit; ``load`` is ``not-found`` where there is no such unit."""

    name: str

    def load(self, probe: Probe) -> UnitState | Unknown:
        return unit_state(probe, self.name)


def unit_state(probe: Probe, name: str) -> UnitState | Unknown:
    answer = probe.query(Query("systemctl", ("show", f"--property={','.join(PROPERTIES)}", name)))
    if answer.code or "LoadState=" not in answer.stdout:
        return Unknown(f"systemd does not answer: {(answer.stderr or answer.stdout).strip()[:200]}")
    return parse_unit(answer.stdout)


def parse_unit(text: str) -> UnitState:
    """``systemctl show`` of one unit."""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return UnitState(
        load=fields.get("LoadState", ""),
        active=fields.get("ActiveState", ""),
        sub=fields.get("SubState", ""),
        enabled=fields.get("UnitFileState", ""),
        stale=fields.get("NeedDaemonReload", "no") == "yes",
        fragment=fields.get("FragmentPath", ""),
        dropins=tuple(fields.get("DropInPaths", "").split()),
        cgroup=fields.get("ControlGroup", ""),
        result=fields.get("Result", ""),
    )


def cgroup_processes(probe: Probe, cgroup: str) -> tuple[int, ...]:
    """The processes in a unit's control group and those below it, on every layout of /sys/fs/cgroup."""
    if cgroup in ("", "/"):
        return ()
    for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if probe.stat(f"{root}{cgroup}/cgroup.procs") is not None:
            return _below(probe, f"{root}{cgroup}")
    return ()


def _below(probe: Probe, path: str) -> tuple[int, ...]:
    try:
        found = [int(pid) for pid in probe.read(f"{path}/cgroup.procs").split()]
    except OSError:
        # Gone between the look and the read: empty groups are removed at any time.
        return ()
    for name in probe.listdir(path):
        stat = probe.stat(f"{path}/{name}")
        if stat is not None and stat.is_dir:
            found += _below(probe, f"{path}/{name}")
    return tuple(found)


def escape_path(path: str) -> str:
    """A path as systemd writes it in a unit's name (``systemd-escape --path``)."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "-"
    joined = "/".join(parts)
    out: list[str] = []
    for place, char in enumerate(joined):
        if char == "/":
            out.append("-")
        elif (char.isascii() and char.isalnum()) or char in ":_" or (char == "." and place):
            out.append(char)
        else:
            out += [f"\\x{byte:02x}" for byte in char.encode()]
    return "".join(out)
