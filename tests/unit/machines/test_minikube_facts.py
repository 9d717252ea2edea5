"""Every case in tests/data/machines/minikube: what minikube and docker print in, value out."""

from __future__ import annotations

import pytest

from installers.machines.minikube import facts
from tests.unit.core.cases import RecordedProbe, cases, plain, read_case, value_of


@pytest.mark.parametrize(("subject", "name"), cases("machines"))
def test_fact(subject: str, name: str) -> None:
    """``about`` says where the output is from."""
    case = read_case(
        "machines", subject, name, required={"about", "fact", "value"}, optional={"with", "files", "queries"}
    )
    fact = getattr(facts, case["fact"])(**case.get("with", {}))
    value = fact.load(RecordedProbe(case.get("files", {}), case.get("queries", [])))
    assert plain(value) == plain(value_of(fact, case["value"]))
    assert plain(value_of(fact, plain(value))) == plain(value), "a value must survive being written down"
