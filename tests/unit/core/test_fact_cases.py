"""Every case in tests/data/facts: recorded text in, value out."""

from __future__ import annotations

import pytest

from tests.unit.core.cases import RecordedProbe, cases, fact_of, plain, read_case, value_of


@pytest.mark.parametrize(("subject", "name"), cases("facts"))
def test_fact(subject: str, name: str) -> None:
    """``about`` says where the recording is from and what makes it worth a case."""
    case = read_case("facts", subject, name, required={"about", "fact", "value"}, optional={"with", "files", "queries"})
    fact = fact_of(case)
    assert type(fact).__module__.rpartition(".")[2] == subject, "the case lies in another subject's folder"
    assert hash(fact) == hash(fact_of(case))
    probe = RecordedProbe(case.get("files", {}), case.get("queries", []))
    value = fact.load(probe)
    assert plain(value) == plain(value_of(fact, case["value"]))
    if not isinstance(value, float):
        assert plain(value_of(fact, plain(value))) == plain(value), "a value must survive being written down"
