"""A machine that drifted is named exactly and repaired exactly."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest
import yaml

from tests.e2e import compare
from tests.e2e.cluster import KUBECTL
from tests.e2e.conftest import Installed, Tell
from tests.e2e.inside import ROOT, Inside

CHANGES = 20
SEED = "OLARES_E2E_SEED"
"""Repeats the choice of an earlier run."""

CONFIGURED = tuple(f"path /{name}/" for name in ("etc", "usr/local", "opt", "usr/sbin", "usr/bin", "usr/lib/cni"))
"""Where repairs must bring back what was there; certificates aside, which are made anew."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to drift; see the data file."""

    key: str
    what: str
    does: str
    follows: Mapping[str, str] = field(default_factory=dict, hash=False)


@pytest.fixture(scope="module")
def chosen(tell: Tell) -> tuple[Case, ...]:
    cases = [Case(**row) for row in yaml.safe_load((ROOT / "tests/data/e2e/drift.yaml").read_text())]
    seed = os.environ.get(SEED) or secrets.token_hex(4)
    tell(f"drift: {SEED}={seed} chooses the same {CHANGES} of {len(cases)} changes again")
    return tuple(random.Random(seed).sample(cases, CHANGES))  # noqa: S311 (a choice to repeat, no secret)


def drift(inside: Inside, cases: tuple[Case, ...]) -> None:
    kubectl = " ".join(KUBECTL)
    for case in cases:
        inside.shell(f'kubectl() {{ command {kubectl} "$@"; }}\n{case.does}')


def test_twenty_changes_are_named_exactly_and_repaired_exactly(installed: Installed, chosen: tuple[Case, ...]) -> None:
    inside = installed.inside
    assert inside.planned() == {}
    before = compare.take_installed(inside)
    drift(inside, chosen)
    wanted = {case.key for case in chosen}
    follows = {key for case in chosen for key in case.follows}

    planned = inside.planned()
    assert set(planned.values()) <= {"change", "deferred"}, planned
    assert planned.keys() - follows == wanted - follows, difference(planned.keys(), wanted | follows)

    ran = inside.install()
    changed = {step["key"] for step in ran.of("step-finished") if step["outcome"] == "changed"}
    assert changed - follows == wanted - follows, difference(changed, wanted | follows)
    assert changed <= wanted | follows, difference(changed, wanted | follows)
    inside.wait_running()
    assert inside.planned() == {}

    found = compare.differences(before, compare.take_installed(inside))
    stayed = {name: said for name, said in found.items() if name.startswith(CONFIGURED) and not made_anew(name)}
    assert not stayed, compare.listed(stayed)


def made_anew(name: str) -> bool:
    return name.endswith((".crt", ".key", "/scheduler.conf"))


def difference(found: Iterable[str], wanted: set[str]) -> str:
    keys = set(found)
    return f"too many: {sorted(keys - wanted)}; missing: {sorted(wanted - keys)}"
