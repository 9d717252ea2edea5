"""What the kernel must be able to do, and the values of its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.actions.files import PutFile
from installers.core.actions.kernel import LoadModule, SetSysctl
from installers.core.facts.files import PathInfo, PathState, sha256
from installers.core.facts.kernel import (
    AVAILABLE,
    BUILT_IN,
    LOADED,
    NO_MODULES,
    Evidence,
    ModuleState,
    SysctlValue,
    even,
)
from installers.core.model import Action, Blocked, Change, Decision, Deferred, Fact, Facts, May, Recorded, Satisfied
from installers.core.resources.base import BaseResource


@dataclass(frozen=True, slots=True)
class KernelModule(BaseResource):
    """A kernel module present: built in, or loaded now and at every boot."""

    name: str

    @property
    def key(self) -> str:
        return f"module:{self.name}"

    @property
    def file(self) -> str:
        """Has systemd load it at boot."""
        return f"/etc/modules-load.d/olares-{self.name}.conf"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ModuleState(self.name), PathInfo(self.file))

    def decide(self, facts: Facts) -> Decision:
        state = facts[ModuleState(self.name)]
        if state == BUILT_IN:
            return Satisfied(f"{self.name} is built into the kernel")
        if state not in (LOADED, AVAILABLE):
            return Blocked("OLR-KERN-001", {"feature": self.name, "reason": absence(state)})
        content = f"{self.name}\n"
        wanted = PathState("file", digest=sha256(content.encode()))
        actions: list[Action] = []
        if state == AVAILABLE:
            actions.append(LoadModule(self.name))
        if facts[PathInfo(self.file)] != wanted:
            actions.append(PutFile(self.file, content))
        if not actions:
            return Satisfied(f"{self.name} is loaded, now and at boot")
        why = f"{self.name} is not loaded" if state == AVAILABLE else f"{self.name} is not loaded at boot"
        predicts: dict[Fact[Any], Any] = {ModuleState(self.name): LOADED, PathInfo(self.file): wanted}
        return Change(tuple(actions), why, predicts)


def absence(state: str) -> str:
    if state == NO_MODULES:
        return "it is not built in, and this kernel loads no modules"
    return "it is neither built in nor among the kernel's modules"


@dataclass(frozen=True, slots=True)
class KernelFeature(BaseResource):
    """Something the kernel shows (``/path`` or ``/path:word``), else the module that brings it.

    For features that may be built in without any list saying so.
    """

    name: str
    evidence: str
    module: str = ""

    @property
    def key(self) -> str:
        return f"feature:{self.name}"

    def _module(self) -> KernelModule:
        return KernelModule(self.module or self.name)

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Evidence(self.evidence), *self._module().needs())

    def decide(self, facts: Facts) -> Decision:
        module = self._module()
        seen = facts[Evidence(self.evidence)]
        state = facts[ModuleState(module.name)]
        if seen and state != LOADED:
            return Satisfied(f"the kernel has {self.name} ({self.evidence})")
        decision = module.decide(facts)
        if isinstance(decision, Blocked):
            return Blocked("OLR-KERN-001", {"feature": self.name, "reason": absence(state)})
        return decision


@dataclass(frozen=True, slots=True)
class Sysctl(BaseResource):
    """A kernel parameter with this value, now and at every boot (a file of its own in /etc/sysctl.d).

    ``module``: the module that brings the parameter, where the kernel does not have it by itself.
    """

    name: str
    value: str
    module: str = ""

    @property
    def key(self) -> str:
        return f"sysctl:{self.name}"

    @property
    def file(self) -> str:
        return f"/etc/sysctl.d/90-olares-{self.name.replace('/', '.')}.conf"

    def needs(self) -> tuple[Fact[Any], ...]:
        module = (ModuleState(self.module),) if self.module else ()
        return (SysctlValue(self.name), PathInfo(self.file), Recorded(self.key), *module)

    def decide(self, facts: Facts) -> Decision:
        present = facts[SysctlValue(self.name)]
        if present is None:
            if self.module and facts[ModuleState(self.module)] in (LOADED, AVAILABLE):
                may = (May(SetSysctl.kind, self.name), May(PutFile.kind, self.file))
                return Deferred(f"the kernel module {self.module} is loaded", may)
            return Blocked("OLR-KERN-003", {"key": self.name})
        content = f"{self.name} = {self.value}\n"
        wanted = PathState("file", digest=sha256(content.encode()))
        actions: list[Action] = []
        reasons: list[str] = []
        if present != even(self.value):
            actions.append(SetSysctl(self.name, self.value))
            reasons.append(f"it is {present}")
        elif self.name not in facts[Recorded(self.key)]:
            # Right already, but not by us: put on record what an uninstall goes back to, whatever happens since.
            actions.append(SetSysctl(self.name, self.value))
            reasons.append("its value is not on record")
        if facts[PathInfo(self.file)] != wanted:
            actions.append(PutFile(self.file, content))
            reasons.append("it is not set at boot")
        if not actions:
            return Satisfied(f"{self.name} is {present}, now and at boot")
        predicts: dict[Fact[Any], Any] = {SysctlValue(self.name): even(self.value), PathInfo(self.file): wanted}
        return Change(tuple(actions), f"{self.name} must be {self.value}: {' and '.join(reasons)}", predicts)
