"""A plan shows everything and changes nothing."""

from __future__ import annotations

import pytest

from tests.e2e import compare
from tests.e2e.conftest import Fresh
from tests.e2e.inside import PROGRAM, Inside

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")


@pytest.fixture(scope="module")
def bare(shipped: Fresh) -> Inside:
    """The machine with our program and nothing of ours installed."""
    if set(shipped.inside.states().values()) - {"absent", "skipped"}:
        pytest.skip("something is installed in the kept machine")
    return shipped.inside


def test_an_idle_machine_stays_the_same_between_two_snapshots(fresh: Fresh) -> None:
    again = compare.take(fresh.inside)
    if fresh.inside.exists_inside("/opt/olares"):
        pytest.skip("the kept machine is no longer fresh")
    found = compare.differences(fresh.before, again)
    assert not found, compare.listed(found)


def test_a_plan_as_root_says_changes_are_pending_and_writes_nothing(bare: Inside) -> None:
    before = compare.take(bare)
    ran = bare.cli("plan", ok=())
    found = compare.differences(before, compare.take(bare))
    assert ran.code == 3, str(ran)
    (plan,) = ran.of("plan")
    assert len(plan["steps"]) > 40
    assert not found, compare.listed(found)


def test_a_plan_without_privileges_is_the_same_plan_and_writes_nothing(bare: Inside) -> None:
    before = compare.take(bare)
    mine = bare.cli("plan", ok=(3,)).of("plan")
    ran = bare.run(*NOBODY, "env", "HOME=/nonexistent", PROGRAM, "--output", "jsonl", "plan", ok=())
    found = compare.differences(before, compare.take(bare))
    assert ran.code == 3, str(ran)
    assert [step["key"] for step in ran.of("plan")[0]["steps"]] == [step["key"] for step in mine[0]["steps"]]
    assert not found, compare.listed(found)
