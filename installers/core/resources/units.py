"""systemd units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installers.core.actions.base import BaseAction
from installers.core.actions.units import (
    ENABLED,
    UNITS,
    WITHOUT_INSTALL,
    DisableUnit,
    EnableUnit,
    PutUnitFile,
    ReloadSystemd,
    StartUnit,
    StopUnit,
)
from installers.core.facts.files import PathInfo, PathState, sha256
from installers.core.facts.units import UnitInfo, UnitState
from installers.core.model import (
    Action,
    Blocked,
    Change,
    Claimed,
    Decision,
    Fact,
    Facts,
    Footprint,
    Owed,
    Recorded,
    Satisfied,
)
from installers.core.resources.base import BaseResource
from installers.core.resources.templates import Text, rendered, text_needs, text_secrets


@dataclass(frozen=True, slots=True, init=False)
class Unit(BaseResource):
    """A systemd unit running (or not) and enabled (or not); None leaves that as it is.

    ``restart_on``: paths of files (or keys of other resources) after whose change it must restart.
    ``content``: the unit's whole file, when it is ours; ``dropins``: name to content, below
    ``NAME.d/``. Neither may carry secrets: systemd shows them to everybody. ``footprint``: what its
    processes leave behind, journaled before the first start. ``timeout``: seconds until active.
    """

    name: str
    running: bool | None
    enabled: bool | None
    restart_on: tuple[str, ...]
    content: Text | None
    footprint: Footprint | None
    dropins: tuple[tuple[str, Text], ...]
    timeout: float

    def __init__(
        self,
        name: str,
        /,
        *,
        running: bool | None = True,
        enabled: bool | None = True,
        restart_on: Sequence[str] = (),
        content: Text | None = None,
        footprint: Footprint | None = None,
        dropins: Mapping[str, Text] | None = None,
        timeout: float = 90.0,
    ) -> None:
        texts = [text for text in (content, *(dropins or {}).values()) if text is not None]
        if any(text_secrets(text) for text in texts):
            raise ValueError(f"{name}: a unit file may not carry secrets")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "running", running)
        object.__setattr__(self, "enabled", enabled)
        object.__setattr__(self, "restart_on", tuple(restart_on))
        object.__setattr__(self, "content", content)
        object.__setattr__(self, "footprint", footprint)
        object.__setattr__(self, "dropins", tuple((dropins or {}).items()))
        object.__setattr__(self, "timeout", timeout)

    @property
    def key(self) -> str:
        return f"unit:{self.name}"

    @property
    def listens(self) -> tuple[str, ...]:
        return tuple(f"file:{one}" if one.startswith("/") else one for one in self.restart_on)

    def _files(self) -> tuple[tuple[str, Text], ...]:
        """The unit's own files by path."""
        own = ((f"{UNITS}/{self.name}", self.content),) if self.content is not None else ()
        return (*own, *((f"{UNITS}/{self.name}.d/{name}", text) for name, text in self.dropins))

    def needs(self) -> tuple[Fact[Any], ...]:
        files = tuple(fact for path, text in self._files() for fact in (PathInfo(path), *text_needs(text)))
        claimed = (Claimed(self.key),) if self.footprint is not None else ()
        return (UnitInfo(self.name), Owed(self.key), Recorded(self.key), *claimed, *files)

    def decide(self, facts: Facts) -> Decision:
        state = facts[UnitInfo(self.name)]
        if state.load == "not-found" and self.content is None:
            if self.running is not True and self.enabled is not True:
                return Satisfied(f"there is no unit {self.name}")
            return Blocked("OLR-UNIT-001", {"unit": self.name})
        if "masked" in (state.load, state.enabled) and (self.running or self.enabled):
            return Blocked("OLR-UNIT-002", {"unit": self.name})
        writes, predicts, reasons = self._writes(facts)
        actions: list[Action] = [*writes]
        actions += self._run_actions(facts, state, wrote=bool(writes), reasons=reasons)
        actions += self._boot_actions(state, reasons)
        if state.load == "loaded" and self.content is None and not self.dropins and state.stale and not actions:
            reasons.append("its files changed since systemd read them")
            actions.append(ReloadSystemd(self.name))
        if not actions:
            return Satisfied(f"{self.name} is {state.active or 'there'}{', ' + state.enabled if state.enabled else ''}")
        predicts[UnitInfo(self.name)] = self._predicted(state)
        return Change(tuple(actions), f"{self.name}: {'; '.join(reasons)}", predicts)

    def _writes(self, facts: Facts) -> tuple[list[BaseAction], dict[Fact[Any], Any], list[str]]:
        writes: list[BaseAction] = []
        predicts: dict[Fact[Any], Any] = {}
        reasons: list[str] = []
        for path, content in self._files():
            text = rendered(content, facts)
            wanted = PathState("file", digest=sha256(text.encode()))
            present = facts[PathInfo(path)]
            if present != wanted:
                writes.append(PutUnitFile(self.name, path, text))
                predicts[PathInfo(path)] = wanted
                reasons.append(f"{path} {'is not as wanted' if present else 'does not exist'}")
        return writes, predicts, reasons

    def _run_actions(self, facts: Facts, state: UnitState, *, wrote: bool, reasons: list[str]) -> list[Action]:
        """Start, restart, stop or nothing; after files were written systemd reads them in any case."""
        if self.running is False:
            if state.running or state.active in ("activating", ""):
                reasons.append(f"it is {state.active or 'perhaps running'} and must not run")
                return [StopUnit(self.name), *([ReloadSystemd(self.name)] if wrote else [])]
        elif self.running and (cause := self._start_cause(facts, state, wrote=wrote)):
            reasons.append(cause)
            return [*self._claims(facts), StartUnit(self.name, self.timeout)]
        return [ReloadSystemd(self.name)] if wrote else []

    def _start_cause(self, facts: Facts, state: UnitState, *, wrote: bool) -> str:
        if not state.running:
            return f"it is {state.active or 'not running'}"
        if owed := facts[Owed(self.key)]:
            return f"it must restart: {', '.join(sorted(owed))} changed"
        ours = self.content is not None or bool(self.dropins)
        if wrote or (ours and (state.stale or self._written_since_start(facts[Recorded(self.key)]))):
            return "it must restart: its own files changed"
        return ""

    def _written_since_start(self, recorded: tuple[str, ...]) -> bool:
        """Whether a run was cut off between writing our unit file and the restart that was to follow."""
        files = {path for path, _ in self._files()}
        last = next((target for target in reversed(recorded) if target in files or target == self.name), "")
        return last in files

    def _claims(self, facts: Facts) -> list[Action]:
        if self.footprint is None or facts[Claimed(self.key)]:
            return []
        from installers.core.actions.footprint import ClaimFootprint

        return [ClaimFootprint(self.key, self.footprint)]

    def _boot_actions(self, state: UnitState, reasons: list[str]) -> list[Action]:
        if self.enabled is True and state.enabled not in ENABLED | WITHOUT_INSTALL:
            reasons.append(f"it is {state.enabled or 'not enabled'}")
            return [EnableUnit(self.name)]
        if self.enabled is False and (state.enabled in ENABLED or (not state.enabled and state.load == "loaded")):
            reasons.append(f"it is {state.enabled or 'perhaps enabled'} and must not be")
            return [DisableUnit(self.name)]
        return []

    def _predicted(self, state: UnitState) -> UnitState:
        active = {True: "active", False: "inactive", None: state.active}[self.running]
        enabled = {True: "enabled", False: "disabled", None: state.enabled}[self.enabled]
        sub = {True: "running", False: "dead", None: state.sub}[self.running]
        return UnitState("loaded", active, sub, state.enabled if state.enabled in WITHOUT_INSTALL else enabled)
