"""systemd: unit files in the tree, what is enabled, and what a running unit has loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from installers.core.model import Output

if TYPE_CHECKING:
    from tests.fake.machine import FakeMachine

CGROUPS = "/sys/fs/cgroup"
DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


def _pid(unit: str) -> int:
    return 1000 + sum(unit.encode())


@dataclass(slots=True)
class Units:
    """``reads``: further files a unit reads when it starts. ``on_start`` and ``on_stop``: what running
    does to the machine (chains, mounts, links). ``fails``: units whose start fails. ``survivors``: processes
    a unit's stop leaves in its group (``KillMode=process``); systemd then knows nothing of them any more.
    """

    machine: FakeMachine
    reads: dict[str, tuple[str, ...]] = field(default_factory=dict)
    on_start: dict[str, Callable[[FakeMachine], None]] = field(default_factory=dict)
    on_stop: dict[str, Callable[[FakeMachine], None]] = field(default_factory=dict)
    fails: set[str] = field(default_factory=set)
    survivors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    running: dict[str, dict[str, str]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    starts: dict[str, int] = field(default_factory=dict)
    _known: dict[str, dict[str, str]] = field(default_factory=dict)

    # files

    def fragment(self, unit: str) -> str:
        """The unit file that counts, or ""; a mask is a link to /dev/null."""
        names = [unit] if "@" not in unit else [unit, f"{unit.partition('@')[0]}@.{unit.rpartition('.')[2]}"]
        paths = (f"{folder}/{name}" for name in names for folder in DIRECTORIES)
        return next((path for path in paths if self.machine.tree.find(path, follow=False)), "")

    def drop_ins(self, unit: str) -> list[str]:
        tree = self.machine.tree
        folders = [f"{folder}/{unit}.d" for folder in DIRECTORIES]
        return [f"{f}/{n}" for f in folders if tree.exists(f) for n in tree.names(f) if n.endswith(".conf")]

    def masked(self, unit: str) -> bool:
        node = self.machine.tree.find(self.fragment(unit), follow=False) if self.fragment(unit) else None
        return node is not None and node.type == "link" and node.content == b"/dev/null"

    def _text(self, unit: str) -> str:
        if not self.fragment(unit) or self.masked(unit):
            return ""
        return "\n".join(self.machine.tree.text(path) for path in [self.fragment(unit), *self.drop_ins(unit)])

    def _digests(self, paths: list[str]) -> dict[str, str]:
        tree = self.machine.tree
        present = [p for p in paths if (node := tree.find(p, follow=True)) and node.type == "file"]
        return {path: hashlib.sha256(tree.read(path)).hexdigest() for path in present}

    def _definition(self, unit: str) -> dict[str, str]:
        if not self.fragment(unit) or self.masked(unit):
            return {}
        return self._digests([self.fragment(unit), *self.drop_ins(unit)])

    def _inputs(self, unit: str) -> list[str]:
        """What the unit's process reads: named here, or by absolute path in the unit's own text."""
        words = (word.lstrip("-+!@") for word in self._text(unit).replace("=", " ").split())
        return [*self.reads.get(unit, ()), *(word for word in words if word.startswith("/"))]

    def load(self) -> None:
        """daemon-reload: unit files as they are now are the ones that count."""
        tree = self.machine.tree
        names = {n for f in DIRECTORIES if tree.exists(f) for n in tree.names(f) if not n.endswith((".d", ".wants"))}
        self._known = {unit: self._definition(unit) for unit in names | set(self.running)}

    def known(self, unit: str) -> dict[str, str]:
        """The unit file as systemd last loaded it; one it has not met is loaded now."""
        return self._known.setdefault(unit, self._definition(unit))

    def stale(self) -> dict[str, list[str]]:
        """Running units with the files that changed since they started: each a restart somebody missed."""
        found = {}
        for unit, loaded in self.running.items():
            now = self._digests([*loaded, *self._inputs(unit)]) | self._definition(unit)
            changed = sorted(path for path in loaded.keys() | now.keys() if loaded.get(path) != now.get(path))
            if changed:
                found[unit] = changed
        return found

    # verbs

    def start(self, unit: str) -> bool:
        if not self.known(unit) or self.masked(unit):
            return False
        if unit in self.running:
            return True
        if unit in self.fails:
            self.failed.add(unit)
            return False
        self.failed.discard(unit)
        self.starts[unit] = self.starts.get(unit, 0) + 1
        self.running[unit] = self._digests(self._inputs(unit)) | self.known(unit)
        self.machine.tree.file(f"{CGROUPS}/system.slice/{unit}/cgroup.procs", f"{_pid(unit)}\n")
        if unit in self.on_start:
            self.on_start[unit](self.machine)
        return True

    def stop(self, unit: str) -> bool:
        if unit in self.running:
            del self.running[unit]
            if left := self.survivors.get(unit):
                group = f"{CGROUPS}/system.slice/{unit}/cgroup.procs"
                self.machine.tree.file(group, "".join(f"{pid}\n" for pid in left))
            else:
                self._empty(unit)
            if unit in self.on_stop:
                self.on_stop[unit](self.machine)
        self.failed.discard(unit)
        return True

    def _empty(self, unit: str) -> None:
        self.machine.tree.unlink(f"{CGROUPS}/system.slice/{unit}/cgroup.procs")
        self.machine.tree.unlink(f"{CGROUPS}/system.slice/{unit}")

    def kill(self, *pids: str) -> None:
        """End processes that outlived their unit, by number."""
        for unit in self.survivors:
            path = f"{CGROUPS}/system.slice/{unit}/cgroup.procs"
            if unit in self.running or not self.machine.tree.exists(path):
                continue
            left = [pid for pid in self.machine.tree.text(path).split() if pid not in pids]
            self.machine.tree.file(path, "".join(f"{pid}\n" for pid in left))
            if not left:
                self._empty(unit)

    def restart(self, unit: str) -> bool:
        self.stop(unit)
        return self.start(unit)

    def reload(self, unit: str) -> bool:
        """The process reads its configuration again; its unit file is not among that."""
        if unit not in self.running or "ExecReload=" not in self._text(unit):
            return False
        inputs = self._inputs(unit)
        own = {path: digest for path, digest in self.running[unit].items() if path not in inputs}
        self.running[unit] = own | self._digests(inputs)
        return True

    def links(self, unit: str) -> list[str]:
        """The links that enabling makes, from the unit's [Install] section."""
        found = []
        for line in self._text(unit).splitlines():
            name, _, value = line.partition("=")
            if name.strip() in ("WantedBy", "RequiredBy"):
                suffix = "wants" if name.strip() == "WantedBy" else "requires"
                found += [f"/etc/systemd/system/{target}.{suffix}/{unit}" for target in value.split()]
        return found

    def enable(self, unit: str) -> bool:
        if not self.fragment(unit) or self.masked(unit):
            return False
        for link in self.links(unit):
            self.machine.tree.link(link, self.fragment(unit))
        self.load()
        return True

    def disable(self, unit: str) -> bool:
        tree = self.machine.tree
        for folder in [f"/etc/systemd/system/{n}" for n in tree.names("/etc/systemd/system")]:
            if folder.endswith((".wants", ".requires")) and tree.find(f"{folder}/{unit}", follow=False):
                tree.unlink(f"{folder}/{unit}")
                if not tree.names(folder):
                    tree.unlink(folder)
        self.load()
        return True

    def mask(self, unit: str) -> bool:
        self.machine.tree.link(f"/etc/systemd/system/{unit}", "/dev/null")
        self.load()
        return True

    def unmask(self, unit: str) -> bool:
        if self.masked(unit):
            self.machine.tree.unlink(self.fragment(unit))
        self.load()
        return True

    def verb(self, verb: str, unit: str) -> bool:
        """One systemctl verb on one unit; False where systemctl would exit with an error."""
        if verb == "try-restart":
            return self.restart(unit) if unit in self.running else True
        if verb in ("reload-or-restart", "reload-or-try-restart"):
            return self.reload(unit) or self.restart(unit)
        if verb == "reset-failed":
            self.failed.discard(unit)
            return True
        verbs = {
            "start": self.start,
            "stop": self.stop,
            "restart": self.restart,
            "reload": self.reload,
            "enable": self.enable,
            "disable": self.disable,
            "mask": self.mask,
            "unmask": self.unmask,
        }
        return verbs[verb](unit)

    # questions

    def file_state(self, unit: str) -> str:
        if not self.fragment(unit):
            return ""
        if self.masked(unit):
            return "masked"
        if not self.links(unit):
            return "static"
        tree = self.machine.tree
        return "enabled" if any(tree.find(link, follow=False) for link in self.links(unit)) else "disabled"

    def properties(self, unit: str) -> dict[str, str]:
        known = self.known(unit)
        state = "masked" if self.masked(unit) else "loaded" if known else "not-found"
        active = "active" if unit in self.running else "failed" if unit in self.failed else "inactive"
        oneshot = "Type=oneshot" in self._text(unit)
        return {
            "Type": "oneshot" if oneshot else "simple",
            "NRestarts": "0",
            "MainPID": str(_pid(unit)) if active == "active" else "0",
            "Result": "exit-code" if active == "failed" else "success",
            "ExecMainStatus": "1" if active == "failed" else "0",
            "ControlGroup": f"/system.slice/{unit}" if active == "active" else "",
            "Id": unit,
            "Names": unit,
            "LoadState": state,
            "ActiveState": active,
            "SubState": {"active": "exited" if oneshot else "running", "failed": "failed", "inactive": "dead"}[active],
            "FragmentPath": self.fragment(unit),
            "DropInPaths": " ".join(self.drop_ins(unit)),
            "UnitFileState": self.file_state(unit),
            "UnitFilePreset": "enabled" if self.fragment(unit) else "",
            "NeedDaemonReload": "yes" if known and known != self._definition(unit) else "no",
            "ActiveEnterTimestampMonotonic": str(self.starts.get(unit, 0) * 1_000_000),
        }

    def query(self, args: tuple[str, ...]) -> Output:
        """systemctl's reading verbs."""
        verb, names = args[0], [word for word in args[1:] if not word.startswith("-")]
        chosen = [n for a in args if a.startswith("--property=") for n in a.partition("=")[2].split(",")]
        if verb == "is-system-running":
            return Output(1, "degraded\n", "") if self.failed else Output(0, "running\n", "")
        if verb == "show":
            shown = [{k: v for k, v in self.properties(n).items() if not chosen or k in chosen} for n in names]
            lines = ("".join(f"{v if '--value' in args else f'{k}={v}'}\n" for k, v in row.items()) for row in shown)
            return Output(0, "\n".join(lines), "")
        if verb == "is-active":
            states = [self.properties(name)["ActiveState"] for name in names]
            return Output(0 if "active" in states else 3, "".join(f"{state}\n" for state in states), "")
        if verb == "is-enabled":
            states = [self.file_state(name) or "not-found" for name in names]
            return Output(0 if "enabled" in states else 1, "".join(f"{state}\n" for state in states), "")
        if verb == "cat":
            return Output(0 if self._text(names[0]) else 1, self._text(names[0]), "")
        everything = sorted({*self._known, *self.running})
        if verb == "list-unit-files":
            return Output(0, "".join(f"{u} {self.file_state(u)} enabled\n" for u in everything if self.fragment(u)), "")
        rows = (self.properties(unit) for unit in everything if unit in self.running or unit in self.failed)
        return Output(
            0, "".join(f"{r['Id']} {r['LoadState']} {r['ActiveState']} {r['SubState']} -\n" for r in rows), ""
        )
