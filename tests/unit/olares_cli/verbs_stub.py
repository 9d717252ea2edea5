"""Stands for ``installers.install`` in tests of the command line: the same shape, scripted answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from installers.choice import source_text
from installers.core.actions.base import BaseAction
from installers.core.errors import Failure
from installers.core.model import (
    Blocked,
    Change,
    Decision,
    Deferred,
    Fact,
    Facts,
    Host,
    Kept,
    Left,
    May,
    Outcome,
    Probe,
    Satisfied,
    Step,
)
from installers.core.model.action import DONE, Action, Irreversible
from installers.core.model.events import Emit, Event
from installers.site import Site


@dataclass(frozen=True)
class Asked:
    site: Site
    phases: tuple[str, ...] = ()
    skip_phases: tuple[str, ...] = ()
    stop: threading.Event | None = None
    request: str = ""
    trust: str = ""


@dataclass(frozen=True)
class Substitute:
    name: str
    stands_for: str
    lacks: tuple[str, ...]


@dataclass(frozen=True)
class CheckResult:
    id: str
    title: str
    severity: Literal["error", "warning", "info"]
    status: Literal["passed", "failed", "waived", "not-run"]
    detail: str
    advice: str
    concerns: bool = True


@dataclass(frozen=True)
class RunResult:
    status: Literal["done", "failed", "interrupted", "left"]
    changes: int = 0
    failure: Failure | None = None
    left: tuple[Left, ...] = ()
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True)
class ComponentStatus:
    name: str
    title: str
    phase: str
    version: str
    state: Literal["running", "degraded", "stopped", "absent", "skipped"]
    since: float | None
    substitute: Substitute | None
    detail: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    components: tuple[ComponentStatus, ...]
    unfinished: bool = False


@dataclass(frozen=True)
class Note(BaseAction):
    """An action that only has a description."""

    kind: ClassVar[str] = "note"
    what: str

    @property
    def target(self) -> str:
        return self.what

    def describe(self) -> str:
        return self.what

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("a note")

    def execute(self, host: Host) -> Outcome:
        return DONE


@dataclass(frozen=True)
class Thing:
    """A resource that only has a key."""

    key: str
    listens: tuple[str, ...] = ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return ()

    def decide(self, facts: Facts) -> Decision:
        return Satisfied("of course")


@dataclass(frozen=True)
class Planned:
    step: Step
    decision: Decision


@dataclass(frozen=True)
class LeftOut:
    name: str
    title: str
    why: str


@dataclass(frozen=True)
class Plan:
    items: tuple[Planned, ...] = ()
    substitutes: tuple[Substitute, ...] = ()
    site: Site = field(default_factory=lambda: Site(source="debian", kube="kubernetes"))
    left_out: tuple[LeftOut, ...] = ()
    images: tuple[str, ...] = ()

    def changes(self) -> tuple[Planned, ...]:
        return tuple(i for i in self.items if isinstance(i.decision, Change))

    def blocked(self) -> tuple[Planned, ...]:
        return tuple(i for i in self.items if isinstance(i.decision, Blocked))

    def deferred(self) -> tuple[Planned, ...]:
        return tuple(i for i in self.items if isinstance(i.decision, Deferred))

    def to_json(self) -> dict[str, Any]:
        rows = [{"name": s.name, "for": s.stands_for, "lacks": list(s.lacks)} for s in self.substitutes]
        choices = {"source": source_text(self.site), "kube": self.site.kube}
        steps = [{"key": i.step.resource.key} for i in self.items]
        return {"version": 1, **choices, "steps": steps, "substitutes": rows}


def planned(key: str, component: str, phase: str, decision: Decision) -> Planned:
    return Planned(Step(Thing(key), component, phase), decision)


SOME_PLAN = Plan(
    items=(
        planned("packages:containerd", "containerd", "infrastructure", Satisfied("installed")),
        planned(
            "file:/etc/containerd/config.toml",
            "containerd",
            "infrastructure",
            Change((Note("write /etc/containerd/config.toml"),), "it differs"),
        ),
        planned(
            "unit:containerd.service",
            "containerd",
            "infrastructure",
            Change(
                (Note("enable containerd.service"), Note("restart containerd.service")), "its configuration changed"
            ),
        ),
        planned(
            "objects:postgres",
            "postgres",
            "platform",
            Deferred("the cluster is there", (May("apply", "StatefulSet postgres"),)),
        ),
    ),
    substitutes=(Substitute("redis", "kvrocks", ("storage beyond memory", "replication slots")),),
    site=Site(source="mirror", places=("https://mirror.lan/olares",), kube="k3s"),
    left_out=(LeftOut("nats", "NATS", "it does not exist in the edition upstream yet"),),
)


@dataclass
class Verbs:
    """The module, as an object: what each verb answers, and what it was asked."""

    planned: Plan = SOME_PLAN
    checks: tuple[CheckResult, ...] = ()
    components: tuple[ComponentStatus, ...] = ()
    unfinished: bool = False
    former: str | None = '{"verb": "install"}'
    events: tuple[Event, ...] = ()
    result: RunResult | BaseException = RunResult("done", 3)
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def Options(
        self,
        site: Site,
        phases: tuple[str, ...] = (),
        skip_phases: tuple[str, ...] = (),
        stop: threading.Event | None = None,
        request: str = "",
        trust: str = "",
        report: object = None,
    ) -> Asked:
        return Asked(site, phases, skip_phases, stop, request, trust)

    def cut_off(self, options: Asked) -> str | None:
        return self.former

    def plan(self, options: Asked, probe: Probe) -> Plan:
        self.asked.append(("plan", options))
        return self.planned

    def precheck(self, options: Asked, probe: Probe) -> tuple[CheckResult, ...]:
        return self.checks

    def status(self, options: Asked) -> Status:
        return Status(self.components, self.unfinished)

    def _run(self, emit: Emit) -> RunResult:
        for event in self.events:
            emit(event)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result

    def install(self, options: Asked, *, emit: Emit, saved_plan: dict[str, Any] | None = None) -> RunResult:
        self.asked.append(("install", options, saved_plan))
        return self._run(emit)

    def resume(self, options: Asked, *, emit: Emit) -> RunResult:
        self.asked.append(("resume", options))
        return self._run(emit)

    def undo(self, options: Asked, *, emit: Emit) -> RunResult:
        self.asked.append(("undo", options))
        return self._run(emit)

    def uninstall(self, options: Asked, *, emit: Emit, everything: Literal["keep-data", "all"]) -> RunResult:
        self.asked.append(("uninstall", options, everything))
        return self._run(emit)
