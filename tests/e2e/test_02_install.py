"""One command from an empty machine to a running Olares, and a second one that has nothing to do."""

from __future__ import annotations

from itertools import pairwise

import pytest

from installers.choice import components
from installers.core.model.events import TYPES
from installers.site import Site
from tests.e2e.conftest import Installed, Tell
from tests.e2e.inside import Inside, Ran

SECOND = 3.0
"""Seconds a second install may take, inside the machine."""

COUNT = """
import sqlite3
db = sqlite3.connect("file:/var/lib/olares/journal.sqlite?mode=ro", uri=True)
print(db.execute("SELECT count(*), max(completed) FROM action").fetchone())
"""
COMPONENTS = {one.name for one in components(Site(source="debian", kube="kubernetes", edition="debian"))}


@pytest.fixture(scope="module")
def first(installed: Installed) -> Ran:
    if installed.ran is None:
        pytest.skip("it was installed before in the kept machine")
    return installed.ran


def test_every_component_runs_after_the_install(installed: Installed) -> None:
    states = installed.inside.states()
    assert states == dict.fromkeys(COMPONENTS, "running")


def test_the_events_of_the_install_are_well_formed(first: Ran) -> None:
    known = set(TYPES) | {"process", "result"}
    records = first.records
    assert {record["type"] for record in records} <= known
    (started,), (finished,) = first.of("run-started"), first.of("run-finished")
    assert (started["verb"], finished["status"]) == ("install", "done")
    begun = {record["seq"]: record for record in first.of("action-started")}
    ended = {record["seq"]: record for record in first.of("action-finished")}
    assert begun.keys() == ended.keys()
    assert finished["changes"] == len(ended) == first.result["changes"]
    assert [record["outcome"] for record in ended.values()] == ["done"] * len(ended)
    assert {step["outcome"] for step in first.of("step-finished")} <= {"changed", "satisfied"}
    ticks = [record["at"] for record in records if "at" in record]
    assert all(later - earlier > -1 for earlier, later in pairwise(ticks))


def test_a_second_install_changes_nothing_within_three_seconds(installed: Installed, tell: Tell) -> None:
    inside = installed.inside
    before = journaled(inside)
    began, ran, ended = timed_install(inside)
    seconds = ended - began
    tell(f"second install: {seconds:.2f} s, {ran.result['changes']} changes")
    assert ran.result["changes"] == 0
    assert journaled(inside) == before
    assert seconds <= SECOND


def timed_install(inside: Inside) -> tuple[float, Ran, float]:
    """An install with the machine's own clock before and after: ssh is not what is measured."""
    script = 'date +%s.%N >&2; "$@"; code=$?; date +%s.%N >&2; exit $code'
    ran = inside.run("sh", "-c", script, "sh", *inside.command("install", "--yes"), timeout=300)
    first, *_, last = [line for line in ran.err.splitlines() if line.replace(".", "").isdigit()]
    return float(first), ran, float(last)


def journaled(inside: Inside) -> str:
    """How many actions the journal holds."""
    return inside.run("python3", "-c", COUNT).out


def test_a_plan_after_the_install_has_nothing_to_do(installed: Installed) -> None:
    plan = installed.inside.plan(ok=(0,))
    assert {step["decision"] for step in plan["steps"]} == {"satisfied"}


def test_status_names_each_substitute_and_what_it_lacks(installed: Installed) -> None:
    (status,) = installed.inside.cli("status").of("status")
    substitutes = {row["name"]: row["substitute"] for row in status["components"] if row["substitute"]}
    assert {"calico", "coredns", "kvrocks"} <= substitutes.keys()
    assert all(one["name"] and one["for"] and one["lacks"] for one in substitutes.values())
    # On a plain Debian the host needs nothing, so nothing of it has changed.
    assert all(row["version"] and (row["since"] or row["name"] == "host") for row in status["components"])
    versions = {row["name"]: row["version"] for row in status["components"]}
    assert versions["containerd"].startswith("1.6.")
    assert versions["etcd"].startswith("3.4.")
