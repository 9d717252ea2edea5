"""Every case in tests/data/resources: facts and desired state in, decision out."""

from __future__ import annotations

from typing import Any

import pytest

import installers.core.resources
from installers.core.component.codec import ActionCodec
from installers.core.errors import Failure
from installers.core.model import Blocked, Change, Deferred, FactUnknown, Satisfied, Unknown, masked
from tests.unit.core.cases import build, cases, class_named, fact_of, plain, read_case, value_of

CODEC = ActionCodec()

DECISIONS = {"satisfied": Satisfied, "change": Change, "blocked": Blocked, "deferred": Deferred}


class GivenFacts:
    """The facts a case gives; any other is a mistake in the case or in ``needs()``."""

    def __init__(self, answers: dict[Any, Any], needs: tuple[Any, ...]) -> None:
        assert set(answers) == set(needs), f"needs {set(needs) ^ set(answers)}"
        self._answers = answers

    def __getitem__(self, fact: Any) -> Any:
        answer = self._answers[fact]
        if isinstance(answer, Unknown):
            raise FactUnknown(fact, answer.reason)
        return answer

    def __contains__(self, fact: object) -> bool:
        return fact in self._answers


@pytest.mark.parametrize(("subject", "name"), cases("resources"))
def test_resource(subject: str, name: str) -> None:
    """``why`` is exact; ``actions`` are all fields; ``predicts`` is complete."""
    case = read_case(
        "resources",
        subject,
        name,
        required={"about", "resource", "facts", "decision"},
        optional={"args", "with", "why", "actions", "predicts", "id", "fields", "until", "may_become", "listens"},
    )
    cls = class_named(installers.core.resources, case["resource"])
    assert cls.__module__.rpartition(".")[2] == subject, "the case lies in another subject's folder"
    resource = cls(*build(case.get("args", [])), **build(case.get("with", {})))
    answers = {}
    for row in case["facts"]:
        fact = fact_of(row)
        answers[fact] = value_of(fact, row["value"])
    decision = resource.decide(GivenFacts(answers, resource.needs()))
    assert isinstance(decision, DECISIONS[case["decision"]]), decision
    match decision:
        case Satisfied(why):
            assert why == case["why"]
        case Change(actions, why, predicts):
            assert masked(why) == case["why"]
            assert [{"kind": action.kind, **plain(action)} for action in actions] == case["actions"]
            for action in actions:
                assert CODEC.decode(CODEC.encode(action)) == action
            said = [{"fact": type(f).__name__, "with": plain(f), "value": plain(v)} for f, v in predicts.items()]
            wanted = [
                {"fact": row["fact"], "with": plain(fact_of(row)), "value": plain(value_of(fact_of(row), row["value"]))}
                for row in case["predicts"]
            ]
            assert said == wanted
        case Blocked(id, fields):
            assert (id, dict(fields)) == (case["id"], case["fields"])
            assert Failure(id, **fields).what
            assert Failure(id, **fields).next
        case Deferred(until, may_become):
            assert until == case["until"]
            assert [[may.kind, may.target] for may in may_become] == case["may_become"]
    assert list(resource.listens) == case.get("listens", [])
