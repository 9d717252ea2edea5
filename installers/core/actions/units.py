"""Starting, stopping, enabling systemd units, and writing their files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import FINAL, PutFile, RestoreFileOf, clear_half_written
from installers.core.errors import Failure
from installers.core.facts.files import before_image, filled_digest
from installers.core.facts.units import UnitState, cgroup_processes, unit_state
from installers.core.model import DONE, Action, Host, Irreversible, Outcome, Probe, Unknown

UNITS = "/etc/systemd/system"
LOG_LINES = 20
POLL = 0.2
RELOAD_TIMEOUT = 60.0
ENABLED = frozenset({"enabled", "enabled-runtime", "alias"})
WITHOUT_INSTALL = frozenset({"static", "indirect", "generated", "transient"})
"""Units that need no enabling, or have nothing to enable: they are started by others."""


def _state(probe: Probe, name: str) -> UnitState:
    state = unit_state(probe, name)
    if isinstance(state, Unknown):
        raise Failure("OLR-UNIT-005", unit=name, reason=state.reason)
    return state


def _reload(host: Host) -> None:
    host.run(("systemctl", "daemon-reload"), timeout=RELOAD_TIMEOUT)


def _reload_for(host: Host, name: str, state: UnitState) -> None:
    """Have systemd read a unit's files again where it may know older ones.

    A drop-in directory made after systemd listed its own is not found by a start, nor counted in
    NeedDaemonReload: while files of ours are there, only a reload makes sure.
    """
    own = (f"{UNITS}/{name}", f"{UNITS}/{name}.d")
    if state.stale or state.load == "not-found" or any(host.stat(path) is not None for path in own):
        _reload(host)


def _log(host: Host, name: str) -> str:
    """The unit's last lines, for a diagnosis."""
    argv = ("journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={LOG_LINES}", f"--unit={name}")
    return host.run(argv, timeout=20, ok=(0, 1)).stdout.strip()


def _not_started(host: Host, name: str, state: UnitState, said: str) -> Failure:
    log = _log(host, name)
    last = next((line for line in reversed(log.splitlines()) if line.strip()), said.strip() or "it logged nothing")
    return Failure("OLR-UNIT-003", unit=name, state=f"{state.active} ({state.sub}, {state.result})", last=last, log=log)


@dataclass(frozen=True, slots=True)
class StartUnit(BaseAction):
    """Have a unit run with its present configuration: started, or restarted when it runs already.

    ``timeout``: seconds until it must be active. Systemd first reads the unit's files again where
    they changed. Ends in ``OLR-UNIT-003`` with the unit's last log lines when it does not stay up.
    """

    kind: ClassVar[str] = "start-unit"

    name: str
    timeout: float = 90.0

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"start {self.name} with its present configuration"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        state = _state(probe, self.name)
        return RestartUnit(self.name, self.timeout) if state.running else StopUnit(self.name)

    def execute(self, host: Host) -> Outcome:
        state = _state(host, self.name)
        _reload_for(host, self.name, state)
        if state.active == "failed":
            # Clears a start limit hit earlier; fails harmlessly when the unit was unloaded meanwhile.
            host.run(("systemctl", "reset-failed", self.name), timeout=20, ok=(0, 1, 5))
        asked = ("systemctl", "restart", self.name)
        answer = host.run(asked, timeout=self.timeout + 30, ok=range(256))
        self._wait(host, answer.stderr)
        return DONE

    def _wait(self, host: Host, said: str) -> None:
        deadline = time.monotonic() + self.timeout
        while not (state := _state(host, self.name)).running:
            settling = state.active == "activating" and state.sub != "auto-restart"
            if not settling or time.monotonic() > deadline:
                raise _not_started(host, self.name, state, said)
            host.progress(0, None, "seconds", f"{self.name} is {state.sub}")
            time.sleep(POLL)


@dataclass(frozen=True, slots=True)
class RestartUnit(BaseAction):
    """Restart a unit that ran before us, if it still runs, so that it takes up what was put back."""

    kind: ClassVar[str] = "restart-unit"

    name: str
    timeout: float = 90.0

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"restart {self.name} if it runs"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        state = _state(host, self.name)
        _reload_for(host, self.name, state)
        if state.running:
            host.run(("systemctl", "try-restart", self.name), timeout=self.timeout + 30, ok=(0, 1, 5))
            after = _state(host, self.name)
            if after.active == "failed":
                raise _not_started(host, self.name, after, "")
        return DONE


@dataclass(frozen=True, slots=True)
class StopUnit(BaseAction):
    """Stop a unit and wait until no process is left in its control group.

    What the unit's own stop leaves running there (``KillMode=process``) is killed, also where somebody
    stopped the unit before us: containers' shims go on without the daemon that started them.
    """

    kind: ClassVar[str] = "stop-unit"

    name: str
    timeout: float = 120.0

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"stop {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return StartUnit(self.name) if _state(probe, self.name).running else self

    def execute(self, host: Host) -> Outcome:
        state = _state(host, self.name)
        # systemd names the group of a running unit only; what was left in it lies where it was.
        group = state.cgroup or f"/system.slice/{self.name}"
        if state.load == "not-found" and not state.running and not cgroup_processes(host, group):
            return DONE
        host.run(("systemctl", "stop", self.name), timeout=self.timeout, ok=(0, 5))
        deadline = time.monotonic() + self.timeout
        if cgroup_processes(host, group):
            host.run(("systemctl", "kill", "--signal=SIGKILL", self.name), timeout=20, ok=(0, 1, 5))
        while left := cgroup_processes(host, group):
            pids = [str(pid) for pid in left]
            if time.monotonic() > deadline:
                raise Failure("OLR-UNIT-004", unit=self.name, pids=" ".join(pids), seconds=f"{self.timeout:g}")
            # With the stop systemd has let go of the group, and may no longer find what is in it.
            host.run(("kill", "-s", "KILL", "--", *pids), timeout=20, ok=(0, 1))
            time.sleep(POLL)
        # A unit stopped by us must not be counted as broken: ``systemctl status`` of the machine stays clean.
        if _state(host, self.name).active == "failed":
            host.run(("systemctl", "reset-failed", self.name), timeout=20, ok=(0, 1, 5))
        return DONE


@dataclass(frozen=True, slots=True)
class EnableUnit(BaseAction):
    """Have a unit start with the machine. ``mask`` undone first is not ours to do: masked units are refused."""

    kind: ClassVar[str] = "enable-unit"
    lane: ClassVar[str] = "systemd"

    name: str

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"enable {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return self if _state(probe, self.name).enabled in ENABLED else DisableUnit(self.name)

    def execute(self, host: Host) -> Outcome:
        host.run(("systemctl", "enable", "--quiet", self.name), timeout=RELOAD_TIMEOUT)
        return DONE


@dataclass(frozen=True, slots=True)
class DisableUnit(BaseAction):
    """Have a unit no longer start with the machine; fine when it is gone."""

    kind: ClassVar[str] = "disable-unit"
    lane: ClassVar[str] = "systemd"

    name: str

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"disable {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return EnableUnit(self.name) if _state(probe, self.name).enabled in ENABLED else self

    def execute(self, host: Host) -> Outcome:
        if _state(host, self.name).enabled in ENABLED:
            host.run(("systemctl", "disable", "--quiet", self.name), timeout=RELOAD_TIMEOUT, ok=(0, 1, 5))
        return DONE


@dataclass(frozen=True, slots=True)
class ReloadSystemd(BaseAction):
    """Have systemd read its unit files again."""

    kind: ClassVar[str] = "reload-systemd"
    lane: ClassVar[str] = "systemd"

    unit: str

    @property
    def target(self) -> str:
        return self.unit

    def describe(self) -> str:
        return f"have systemd read {self.unit} again"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return self

    def execute(self, host: Host) -> Outcome:
        _reload(host)
        return DONE


@dataclass(frozen=True, slots=True)
class PutUnitFile(BaseAction):
    """A unit's file or drop-in that is ours. Systemd reads it with the start that follows.

    Its way back reads it again at once: the start's own inverse has run by then.
    """

    kind: ClassVar[str] = "put-unit-file"

    unit: str
    path: str
    content: str

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"write {self.path}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return RestoreUnitFile(self.unit, self.path, filled_digest(probe, self.content), before_image(probe, self.path))

    def execute(self, host: Host) -> Outcome:
        return PutFile(self.path, self.content).execute(host)

    def recover(self, host: Host) -> None:
        clear_half_written(host, self.path)


@dataclass(frozen=True, slots=True)
class RestoreUnitFile(RestoreFileOf):
    """Put back a unit's file as it was, have systemd read it, and a unit that runs take it up."""

    kind: ClassVar[str] = "restore-unit-file"
    lane: ClassVar[str] = "systemd"

    def take_up(self, host: Host) -> None:
        _reload(host)
        if _state(host, self.unit).running:
            host.run(("systemctl", "try-restart", self.unit), timeout=120, ok=(0, 1, 5))


ACTIONS: tuple[type[BaseAction], ...] = (
    StartUnit,
    RestartUnit,
    StopUnit,
    EnableUnit,
    DisableUnit,
    ReloadSystemd,
    PutUnitFile,
    RestoreUnitFile,
)
