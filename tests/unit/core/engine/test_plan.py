"""Planning: nothing is written, predictions and debts reach later steps, order and ownership are held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from installers.core.engine.plan import Past, in_order, make_plan
from installers.core.errors import Failure
from installers.core.model import (
    Blocked,
    Change,
    Claimed,
    Decision,
    Deferred,
    Facts,
    May,
    Owed,
    Probe,
    Recorded,
    Satisfied,
    Secret,
    Unknown,
)
from tests.fake import FakeProbe, debian
from tests.unit.core.engine.workbench import Says, There, Thing, Work, Workbench, chain, step

NOTHING = Past({}, {})


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A fact that says it cannot be read, or breaks in one of the ways reading breaks."""

    how: str

    def load(self, probe: Probe) -> bool | Unknown:
        if self.how == "unknown":
            return Unknown("the disk says no")
        if self.how == "failure":
            raise Failure("OLR-HOST-003", program="never-there")
        return bool(probe.read("/never/there"))


def listening(name: str, *keys: str) -> Says:
    """Changes when something is owed to it."""
    owed = Owed(f"thing:{name}")

    def says(facts: Facts) -> Decision:
        return Change((Work(name),), "it is owed") if facts[owed] else Satisfied("nothing is owed")

    return Says(name, says, (owed,), keys)


def decisions(plan_items: object) -> dict[str, str]:
    return {item.step.resource.key: type(item.decision).__name__ for item in plan_items}  # type: ignore[attr-defined]


def test_planning_changes_nothing_and_its_probe_has_no_way_to(bench: Workbench) -> None:
    before = bench.machine.snapshot()
    bench.plan(chain(Thing("a"), Thing("b")))
    assert bench.machine.snapshot() == before
    assert bench.machine.crash.log == []
    writers = {"write", "mkdir", "symlink", "chmod", "chown", "move", "remove", "remove_tree", "set", "run"}
    assert not writers & set(dir(FakeProbe(debian())))
    assert not (bench.folder / "state").exists()


def test_a_prediction_is_what_later_steps_see(bench: Workbench) -> None:
    seen = []

    def says(facts: Facts) -> Decision:
        seen.append(facts[There("a")])
        return Satisfied("-")

    plan = bench.plan(chain(Thing("a"), Says("b", says, (There("a"),))))
    assert seen == [True]
    assert [item.assumed for item in plan.items] == [False, True]


def test_a_change_owes_its_listeners_and_theirs(bench: Workbench) -> None:
    plan = bench.plan(chain(Thing("a"), listening("b", "thing:a"), listening("c", "thing:b"), listening("d")))
    assert list(decisions(plan.items).values()) == ["Change", "Change", "Change", "Satisfied"]


def test_what_was_owed_before_is_owed_still() -> None:
    past = Past({"thing:b": frozenset({"thing:a"})}, {})
    plan = make_plan([step(listening("b"))], FakeProbe(debian()), past)
    assert decisions(plan.items) == {"thing:b": "Change"}


def test_the_journals_facts_are_answered_from_the_journal() -> None:
    claimed, recorded = Claimed("thing:a"), Recorded("thing:a")
    seen: list[object] = []

    def says(facts: Facts) -> Decision:
        seen.append((facts[claimed], facts[recorded]))
        return Satisfied("-")

    for records in ((), ("footprint:thing:a", "t")):
        past = Past({}, {"thing:a": records})
        make_plan([step(Says("a", says, (claimed, recorded)))], FakeProbe(debian()), past)
    assert seen == [(False, ()), (True, ("footprint:thing:a", "t"))]


@pytest.mark.parametrize("how", ["unknown", "failure", "error"])
def test_an_unknown_fact_blocks_its_step_by_name_and_no_other(bench: Workbench, how: str) -> None:
    plan = bench.plan([step(Thing("a", fact=Unreadable(how))), step(Thing("b"))])
    (blocked,) = plan.blocked()
    assert isinstance(blocked.decision, Blocked)
    failure = Failure(blocked.decision.id, **blocked.decision.fields)
    assert (failure.id, failure.fields["key"]) == ("OLR-RUN-002", "thing:a")
    assert f"Unreadable(how='{how}')" in failure.what
    assert decisions(plan.items)["thing:b"] == "Change"


def test_a_decision_sees_only_what_it_said_it_needs(bench: Workbench) -> None:
    def says(facts: Facts) -> Decision:
        return Satisfied(str(facts[There("a")]))

    with pytest.raises(LookupError, match="not among the needs"):
        bench.plan([step(Says("b", says))])


def test_a_blocked_plan_is_not_applied(bench: Workbench) -> None:
    result = bench.install([step(Thing("b")), step(Thing("a", fact=Unreadable("unknown")))])
    assert (result.status, result.changes) == ("failed", 0)
    assert result.failure is not None
    assert result.failure.id == "OLR-RUN-002"
    assert bench.there() == set()


def test_a_key_has_one_owner() -> None:
    with pytest.raises(Failure) as refused:
        in_order([step(Thing("a"), component="one"), step(Thing("a"), component="other")])
    assert refused.value.id == "OLR-RUN-007"
    assert refused.value.fields == {"key": "thing:a", "owners": "one and other"}


def test_a_cycle_is_refused_by_the_keys_in_it() -> None:
    steps = [step(Thing("a"), "thing:b"), step(Thing("b"), "thing:a"), step(Thing("c"))]
    with pytest.raises(Failure) as refused:
        in_order(steps)
    assert (refused.value.id, refused.value.fields["keys"]) == ("OLR-RUN-008", "thing:a, thing:b")


def test_order_is_as_given_except_where_a_step_comes_after_another() -> None:
    steps = [step(Thing("a"), "thing:c"), step(Thing("b")), step(Thing("c")), step(Thing("d"), "thing:elsewhere")]
    assert [one.resource.key[-1] for one in in_order(steps)] == ["b", "c", "a", "d"]


def saved(bench: Workbench, change: Callable[[list[dict[str, object]]], None] = lambda rows: None) -> dict[str, object]:
    plan = bench.plan(chain(Thing("a"), Thing("b"))).to_json()
    change(plan["steps"])
    return plan


def test_a_saved_plan_that_still_holds_is_applied(bench: Workbench) -> None:
    assert bench.install(chain(Thing("a"), Thing("b")), saved(bench)).status == "done"
    assert bench.there() == {"a", "b"}


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        (lambda rows: rows[0].update(decision="satisfied", actions=None), "thing:a"),
        (lambda rows: rows[1]["actions"].clear(), "thing:b"),
        (lambda rows: rows.pop(), "thing:b"),
        (lambda rows: rows.append({"key": "thing:c", "decision": "change"}), "thing:c"),
    ],
)
def test_a_saved_plan_that_differs_is_refused_by_the_keys(
    bench: Workbench, change: Callable[[list[dict[str, object]]], None], keys: str
) -> None:
    result = bench.install(chain(Thing("a"), Thing("b")), saved(bench, change))
    assert result.failure is not None
    assert (result.failure.id, result.failure.fields["keys"]) == ("OLR-RUN-011", keys)
    assert bench.there() == set()


def test_wording_alone_is_no_difference(bench: Workbench) -> None:
    assert bench.plan(chain(Thing("a"), Thing("b"))).differences(saved(bench, lambda r: r[0].update(why="-"))) == ()


def test_secrets_are_masked_in_the_plans_json(bench: Workbench) -> None:
    resource = Says("a", lambda facts: Change((Work("a"),), f"it needs {Secret('db/admin')}"))
    text = str(bench.plan([step(resource)]).to_json())
    assert "\x02" not in text
    assert "\\x02" not in text
    assert "<secret db/admin>" in text


def test_deferred_steps_say_what_they_may_become(bench: Workbench) -> None:
    deferred = Deferred("a is there", (May("test-work", "/srv/b"),))
    plan = bench.plan([step(Says("b", lambda facts: deferred))])
    (row,) = plan.to_json()["steps"]
    assert (row["decision"], row["may_become"]) == ("deferred", [["test-work", "/srv/b"]])
    assert plan.changes() == ()


def test_what_waits_for_a_person_says_so_by_id_in_a_plan_as_data() -> None:
    waits = Deferred("this computer has been restarted", (), "OLR-BOOT-001")
    plan = make_plan([step(Says("a", lambda facts: waits))], FakeProbe(debian()), NOTHING)
    [row] = plan.to_json()["steps"]
    assert (row["decision"], row["id"]) == ("deferred", "OLR-BOOT-001")
