"""What the engine's tests work with: a fake machine, a journal of its own, small steps, every event kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from installers.core.actions.base import BaseAction
from installers.core.artifacts.actions import ACTIONS as ARTIFACT_ACTIONS
from installers.core.component.codec import ActionCodec
from installers.core.engine import run as engine
from installers.core.engine.context import Children, Context
from installers.core.engine.journal import LIVE, Journal, Row, State
from installers.core.engine.plan import Plan, make_plan
from installers.core.engine.run import Bench, Result
from installers.core.engine.undo import latest
from installers.core.errors import Failure
from installers.core.model import (
    DONE,
    Action,
    Change,
    Decision,
    Facts,
    Host,
    Irreversible,
    Kept,
    Left,
    Outcome,
    Probe,
    Resource,
    Satisfied,
    Step,
)
from installers.core.model.events import Event
from installers.core.model.facts import Fact
from installers.core.resources.base import BaseResource
from tests.fake import Crash, FakeHost, FakeMachine, FakeProbe, debian


@dataclass(frozen=True, slots=True)
class Work(BaseAction):
    """Writes ``/srv/NAME``. Its way back removes it, or fails, leaves or keeps it, as ``back`` says."""

    kind: ClassVar[str] = "test-work"
    patience: ClassVar[float] = 0.5

    name: str
    inside: str = ""
    removes: str = ""
    text: str = "x"
    back: str = "remove"

    @property
    def target(self) -> str:
        return f"/srv/{self.name}"

    def describe(self) -> str:
        return f"work on {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        if self.back == "none":
            return Irreversible("it cannot be unsaid")
        return Unwork(self.name, self.inside, self.removes, self.back)

    def execute(self, host: Host) -> Outcome:
        host.write(self.target, self.text.encode())
        return DONE

    def recover(self, host: Host) -> None:
        host.write(f"/srv/recovered-{self.name}", b"")


@dataclass(frozen=True, slots=True)
class DpkgWork(Work):
    """Work in a lane."""

    kind: ClassVar[str] = "test-dpkg"
    lane: ClassVar[str] = "dpkg"


@dataclass(frozen=True, slots=True)
class SystemdWork(Work):
    """Work in another lane."""

    kind: ClassVar[str] = "test-systemd"
    lane: ClassVar[str] = "systemd"


@dataclass(frozen=True, slots=True)
class Unwork(BaseAction):
    """Takes ``Work`` back, or fails, or leaves or keeps it, as ``back`` says."""

    kind: ClassVar[str] = "test-unwork"
    patience: ClassVar[float] = 0.5

    name: str
    inside: str = ""
    removes: str = ""
    back: str = "remove"

    @property
    def target(self) -> str:
        return f"/srv/{self.name}"

    def describe(self) -> str:
        return f"take {self.name} back"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("it is a way back")

    def execute(self, host: Host) -> Outcome:
        if self.back == "fail":
            raise Failure("OLR-HOST-003", program="never-there")
        if self.back == "left":
            return Left(self.name, "it is somebody else's now")
        if self.back == "kept":
            return Kept(self.name, "it is user data")
        host.remove(self.target)
        return DONE

    def recover(self, host: Host) -> None:
        host.write(f"/srv/recovered-un{self.name}", b"")


@dataclass(frozen=True, slots=True)
class There:
    """Whether ``/srv/NAME`` is there."""

    name: str

    def load(self, probe: Probe) -> bool:
        return probe.stat(f"/srv/{self.name}") is not None


@dataclass(frozen=True, slots=True)
class Thing(BaseResource):
    """``/srv/NAME`` present, brought about by ``actions`` (one ``Work`` unless said otherwise)."""

    name: str
    actions: tuple[Action, ...] = ()
    fact: Fact[bool] | None = None

    @property
    def key(self) -> str:
        return f"thing:{self.name}"

    def _fact(self) -> Fact[bool]:
        return self.fact or There(self.name)

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self._fact(),)

    def decide(self, facts: Facts) -> Decision:
        if facts[self._fact()]:
            return Satisfied("it is there")
        return Change(self.actions or (Work(self.name),), "it is not there", {self._fact(): True})


@dataclass(frozen=True, slots=True)
class Says(BaseResource):
    """Decides what a function says."""

    name: str
    says: Callable[[Facts], Decision]
    wants: tuple[Fact[Any], ...] = ()
    hears: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"thing:{self.name}"

    @property
    def listens(self) -> tuple[str, ...]:
        return self.hears

    def needs(self) -> tuple[Fact[Any], ...]:
        return self.wants

    def decide(self, facts: Facts) -> Decision:
        return self.says(facts)


def step(resource: Resource, *after: str, component: str = "part", background: bool = False) -> Step:
    return Step(resource, component, "phase", frozenset(after), background)


def chain(*resources: Resource, component: str = "part") -> list[Step]:
    """One step after the other."""
    keys = ["", *(resource.key for resource in resources)]
    return [
        step(r, *([before] if before else []), component=component) for before, r in zip(keys, resources, strict=False)
    ]


@dataclass
class Workbench:
    """One machine and its journal. ``crash_at`` on the machine, then any verb, then ``power()``."""

    folder: Path
    machine: FakeMachine = field(default_factory=debian)
    events: list[Event] = field(default_factory=list)
    workers: int = 1
    make_host: Callable[[Children], Host] | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    codec: ClassVar[ActionCodec] = ActionCodec((*ARTIFACT_ACTIONS, Work, Unwork, DpkgWork, SystemdWork))

    @property
    def path(self) -> str:
        return str(self.folder / "state" / "journal.sqlite")

    def _host(self, children: Children) -> Host:
        return FakeHost(self.machine, scope=children, emit_progress=children.progress)

    def bench(self) -> Bench:
        return Bench(
            journal=self.path,
            lock=str(self.folder / "lock"),
            probe=FakeProbe(self.machine),
            host=self.make_host or self._host,
            codec=self.codec,
            emit=self.events.append,
            stop=self.stop,
            workers=self.workers,
        )

    def plan(self, steps: list[Step]) -> Plan:
        return make_plan(steps, FakeProbe(self.machine), engine.past(self.path))

    def install(self, steps: list[Step], saved: Mapping[str, Any] | None = None) -> Result:
        return engine.install(self.bench(), steps, verb="install", saved=saved)

    def undo(self) -> Result:
        return engine.take_back(self.bench(), verb="undo", choose=latest)

    def uninstall(self) -> Result:
        return engine.take_back(self.bench(), verb="uninstall", choose=engine.everything)

    def cut_off(self, verb: Callable[[], object]) -> bool:
        """Run a verb into the crash that was armed; whether it came to that. The machine is on again after it."""
        try:
            verb()
        except Crash:
            return True
        else:
            return False
        finally:
            self.machine.crash.disarm()

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        with closing(Journal(self.path, mode="read")) as journal:
            yield journal

    @contextmanager
    def context(self, verb: str = "install") -> Iterator[Context]:
        with engine.running(self.bench(), verb) as context:
            yield context

    def rows(self, *states: State) -> tuple[Row, ...]:
        everything: tuple[State, ...] = (*LIVE, "undone", "contained", "left", "kept")
        with self.journal() as journal:
            return journal.rows(*(states or everything))

    def states(self) -> dict[str, str]:
        """The state of each thing's latest action."""
        return {row.key.partition(":")[2]: row.state for row in sorted(self.rows(), key=lambda row: row.seq)}

    def there(self) -> set[str]:
        """The things that are there."""
        tree = self.machine.tree
        return set(tree.names("/srv")) if tree.exists("/srv") else set()

    def journal_text(self) -> str:
        """Every byte of the journal, readable or not."""
        return Path(self.path).read_bytes().decode(errors="replace")


__all__ = ["Crash", "DpkgWork", "Says", "SystemdWork", "There", "Thing", "Unwork", "Work", "Workbench", "chain", "step"]
