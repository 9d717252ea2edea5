"""The real install of a Debian 12 server on the fake one, and how two of its states are compared."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from installers.core.engine.run import Result
from installers.core.model import Step
from installers.core.model.events import ActionStarted, Event
from installers.install import Options, _steps, resolve
from installers.site import Site
from tests.fake import Crash, FakeMachine, FakeProbe, differences
from tests.fake.crash import When
from tests.fake.debian12 import debian12
from tests.unit.core.engine.workbench import Workbench

DATA = Path(__file__).parents[3] / "data/engine"


@cache
def steps() -> tuple[Step, ...]:
    """Every component of ``installers/phases.py``, as ``install.py`` makes steps of them."""
    probe = FakeProbe(debian12())
    site = resolve(Site(source="debian"), probe)
    return tuple(_steps(Options(site), site, probe))


def debian_bench(folder: Path) -> Workbench:
    folder.mkdir(parents=True, exist_ok=True)
    return Workbench(folder, machine=debian12())


@cache
def generated() -> list[dict[str, str]]:
    """What may differ between two runs, each with its reason; read once, for every snapshot asks."""
    rows: list[dict[str, str]] = yaml.safe_load((DATA / "generated.yaml").read_text())
    for row in rows:
        if set(row) not in ({"path", "reason"}, {"object", "reason"}) or not row["reason"]:
            raise ValueError(f"an entry has a path or an object, and a reason: {row}")
    return rows


def name_of(row: dict[str, str]) -> str:
    return f"path {row['path']}" if "path" in row else f"object {row['object']}"


def plain(snapshot: dict[str, object]) -> dict[str, object]:
    """A snapshot with generated contents masked; what kind of thing it is, whose and in which mode stays."""
    globs = [name_of(row) for row in generated()]
    found: dict[str, object] = {}
    for name, value in snapshot.items():
        if any(fnmatch.fnmatchcase(name, glob) for glob in globs):
            value = value[:4] if isinstance(value, tuple) else "generated"
        found[f"mount {name.split(' ', 2)[2]}" if name.startswith("mount ") else name] = value
    return found


def unlike(wanted: dict[str, object], machine: FakeMachine) -> list[str]:
    """What differs from a wanted end, generated contents aside."""
    return differences(plain(wanted), plain(machine.snapshot()))


def half_done(machine: FakeMachine) -> list[str]:
    """What no run may leave behind, however it went."""
    paths = [path for path in machine.tree.nodes if path.endswith((".part", ".new")) or "policy-rc.d" in path]
    return [*paths, *machine.dpkg.broken()]


@dataclass
class Relentless:
    """Cuts an install off at every mutation of every chosen action, one after the other, and takes it up again.

    At the n-th attempt at an action the n-th mutation is hit, so that each is hit once. ``inside``
    goes through all moments of a mutation.
    """

    bench: Workbench
    whens: tuple[When, ...]
    chosen: Callable[[ActionStarted], bool] = lambda event: True
    attempts: dict[str, tuple[int, int]] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)
    now: str = ""

    def __post_init__(self) -> None:
        self.bench.events = _Listener(self._heard)

    def _heard(self, event: Event) -> None:
        if not isinstance(event, ActionStarted):
            return
        self.bench.machine.crash.at = None
        if self.chosen(event):
            self.now = f"{event.key} {event.kind} {event.what}"
            mutation, moment = self.attempts.setdefault(self.now, (1, 1))
            when = self.whens[len(self.crashes) % len(self.whens)]
            self.bench.machine.crash_at(mutation, when, step=moment)

    def _next(self, crash: str) -> None:
        mutation, moment = self.attempts[self.now]
        another = ", step " in crash
        self.attempts[self.now] = (mutation, moment + 1) if another else (mutation + 1, 1)

    def through(self, verb: Callable[[], Result]) -> Result:
        """The verb, again and again until it comes through."""
        for _ in range(5000):
            try:
                result = verb()
                self.bench.events = []
                return result
            except Crash as crash:
                self.crashes.append(str(crash))
                self._next(str(crash))
            finally:
                self.bench.machine.crash.disarm()
        raise AssertionError(f"it never comes through: {self.crashes[-3:]}")


class _Listener(list[Event]):
    """Passes on what is appended."""

    def __init__(self, heard: Callable[[Event], None]) -> None:
        super().__init__()
        self._heard = heard

    def append(self, event: Event) -> None:
        self._heard(event)
