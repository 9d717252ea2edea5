"""Loading kernel modules and setting kernel parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import FINAL
from installers.core.errors import Failure
from installers.core.facts.kernel import (
    LOADED,
    ModuleState,
    SysctlValue,
    absent_needs,
    even,
    loaded_modules,
    sysctl_path,
)
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe


@dataclass(frozen=True, slots=True)
class LoadModule(BaseAction):
    """Load a kernel module with those it needs."""

    kind: ClassVar[str] = "load-module"

    name: str

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"load the kernel module {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return (
            self
            if ModuleState(self.name).load(probe) == LOADED
            else UnloadModule(self.name, absent_needs(probe, self.name))
        )

    def execute(self, host: Host) -> Outcome:
        answer = host.run(("modprobe", self.name), timeout=60, ok=(0, 1))
        if answer.code:
            raise Failure("OLR-KERN-002", module=self.name, reason=answer.stderr.strip() or "modprobe gave no reason")
        return DONE


@dataclass(frozen=True, slots=True)
class UnloadModule(BaseAction):
    """Unload a module we loaded with those that came along (``needs``), unless something uses it now."""

    kind: ClassVar[str] = "unload-module"

    name: str
    needs: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"unload the kernel module {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        if self.name in loaded_modules(host):
            answer = host.run(("modprobe", "-r", self.name), timeout=60, ok=(0, 1))
            if answer.code and self.name in loaded_modules(host):
                return Left(f"kernel module {self.name}", answer.stderr.strip() or "it is in use")
        # One after another: the first was what used the second. One that others use by now stays theirs.
        for name in self.needs:
            if loaded_modules(host).get(name) == 0:
                host.run(("rmmod", name), timeout=60, ok=(0, 1))
        return DONE


@dataclass(frozen=True, slots=True)
class SetSysctl(BaseAction):
    """Give a kernel parameter a value, now."""

    kind: ClassVar[str] = "set-sysctl"

    key: str
    value: str

    @property
    def target(self) -> str:
        return self.key

    def describe(self) -> str:
        return f"set {self.key} to {self.value}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        before = SysctlValue(self.key).load(probe)
        if not isinstance(before, str):
            return Irreversible("the kernel had no such parameter before")
        return RestoreSysctl(self.key, before, self.value)

    def execute(self, host: Host) -> Outcome:
        try:
            host.set(sysctl_path(self.key), self.value)
        except OSError as error:
            reason = error.strerror or str(error)
            raise Failure("OLR-KERN-004", key=self.key, value=self.value, reason=reason) from error
        return DONE


@dataclass(frozen=True, slots=True)
class RestoreSysctl(BaseAction):
    """Give a kernel parameter its former value, while it still has ours (``left``)."""

    kind: ClassVar[str] = "restore-sysctl"

    key: str
    value: str
    left: str

    @property
    def target(self) -> str:
        return self.key

    def describe(self) -> str:
        return f"set {self.key} back to {self.value}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def past(self, older: Action) -> Action | None:
        return replace(self, value=older.value) if isinstance(older, RestoreSysctl) else None

    def execute(self, host: Host) -> Outcome:
        present = SysctlValue(self.key).load(host)
        if not isinstance(present, str) or present == self.value:
            return DONE
        if present != even(self.left):
            return Left(self.key, f"it was set to {present} since")
        host.set(sysctl_path(self.key), self.value)
        return DONE


ACTIONS: tuple[type[BaseAction], ...] = (LoadModule, UnloadModule, SetSysctl, RestoreSysctl)
