"""Every case in tests/data/prechecks: a site and facts in, what a person is told out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from installers.core.engine.gather import FactStore
from installers.core.errors import catalogue
from installers.core.model import FactUnknown
from installers.precheck.check import NotRun
from installers.precheck.run import checks, result_of
from installers.site import Proxy, Registry, Site
from tests.unit.core.cases import DATA, RecordedProbe, cases, fact_of, read_case, value_of

EVERY = Site(source="debian", edition="debian", kube="kubernetes", proxy=Proxy("http://p.example:3"))
EVERY = replace(EVERY, registries=(Registry("registry.example", ("https://mirror.example",)),))
"""With all that some checks are there for only."""

CHECKS = {check.id: check for check in checks(EVERY)}


@pytest.mark.parametrize(("id", "name"), cases("prechecks"))
def test_check(id: str, name: str) -> None:
    """A failure is an error where a case does not say ``severity``; ``detail`` is exact."""
    case = read_case(
        "prechecks",
        id,
        name,
        required={"about", "facts", "status", "detail"},
        optional={"site", "severity", "problem", "advice", "concerns"},
    )
    check = next(check for check in checks(_site(case.get("site", {}))) if check.id == id)
    answers: dict[Any, Any] = {}
    for row in case["facts"]:
        assert set(row) <= {"fact", "with", "value"}, row
        fact = fact_of(row)
        answers[fact] = value_of(fact, row["value"])
    assert set(answers) == set(check.needs())
    try:
        verdict = check.judge(FactStore(RecordedProbe({}, []), answers).view(check.needs()))
    except FactUnknown as unknown:
        verdict = NotRun(unknown.reason)
    result = result_of(check, verdict)
    assert (result.id, result.title, result.status) == (id, check.title, case["status"])
    assert (result.detail, result.problem) == (case["detail"], case.get("problem", ""))
    assert result.severity == case.get("severity", "error" if result.status == "failed" else check.severity)
    assert result.concerns == case.get("concerns", True)
    assert bool(result.advice) == (result.status == "failed")
    if "advice" in case:
        assert result.advice == case["advice"]


def _site(row: dict[str, Any]) -> Site:
    wrong = set(row) - {"edition", "k3s", "kube", "source", "node", "network", "proxy", "registries"}
    assert not wrong, f"unknown: {sorted(wrong)}"
    return msgspec.convert({"edition": "debian", "kube": "kubernetes"} | row, Site)


def test_every_check_and_every_problem_has_a_case() -> None:
    """No folder is without its check, no check without a folder, no failure without a case."""
    folders = {path.name for path in (DATA / "prechecks").iterdir()}
    assert folders == set(CHECKS)
    problems = {
        problem
        for id, name in cases("prechecks")
        if (problem := read_case("prechecks", id, name, required=set(), optional=set(KEYS)).get("problem"))
    }
    # How a proxy is written down is refused before any check is made.
    own = {id for id in catalogue() if id.startswith(("OLR-PRE-", "OLR-PROXY-", "OLR-REGISTRY-"))} - {"OLR-PROXY-003"}
    assert problems == own


KEYS = ("about", "facts", "status", "detail", "site", "severity", "problem", "advice", "concerns")


def test_ids_and_titles_are_each_used_once() -> None:
    found = checks(EVERY)
    assert len({check.id for check in found}) == len({check.title for check in found}) == len(found)


def test_proxies_and_mirrors_are_asked_only_where_there_are_any() -> None:
    neither = checks(replace(EVERY, proxy=None, registries=()))
    assert [check.id for check in checks(EVERY) if check not in neither] == ["proxy", "registry-mirrors"]
    assert checks(replace(EVERY, proxy=Proxy(), registries=())) == neither
