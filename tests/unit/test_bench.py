"""What the benchmark of the fetcher says of its budget: kept, missed, or not measured. Nothing is run."""

from __future__ import annotations

import pytest

from tests.bench.fetch import ARIA2, BUDGET, CURL, OURS, Result, Round, table, verdict


def result(client: str, seconds: float) -> Result:
    return Result(client, (Round(seconds, 1.0),) * 3)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(4.0, 0), (4.0 / BUDGET - 0.001, 0), (4.0 / BUDGET + 0.01, 1), (9.0, 1)],
)
def test_the_budget_is_a_share_of_the_peers_rate(seconds: float, code: int) -> None:
    assert verdict([result(OURS, seconds), result(ARIA2, 4.0), result(CURL, 4.0)]) == code


def test_without_the_peer_the_budget_is_not_kept_and_what_is_needed_is_named() -> None:
    alone = [result(OURS, 4.0), result(CURL, 4.0)]
    assert verdict(alone) == 2
    assert "NOT MEASURED: aria2c -x8, which is not installed (apt-get install aria2" in table(alone)
    assert "NOT MEASURED" not in table([*alone, result(ARIA2, 4.0)])
