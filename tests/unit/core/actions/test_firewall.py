from __future__ import annotations

import pytest

from installers.core.actions.firewall import AddRule
from installers.core.model import DONE, Action
from tests.fake import FakeHost, debian

ARGS = ("-s", "10.89.0.0/24", "-j", "MASQUERADE")


@pytest.mark.parametrize(
    ("place", "order"), [("last", ["-j LOG", " ".join(ARGS)]), ("first", [" ".join(ARGS), "-j LOG"])]
)
def test_added_once_and_deleted(place: str, order: list[str]) -> None:
    machine = debian()
    chain = machine.network.v4.table("nat")["POSTROUTING"]
    chain.append("-j LOG")
    host = FakeHost(machine)
    add = AddRule(4, "nat", "POSTROUTING", ARGS, place)
    back = add.inverse(host)
    assert isinstance(back, Action)
    for _ in range(2):
        assert add.execute(host) == DONE
        assert chain == order
    for _ in range(2):
        assert back.execute(host) == DONE
        assert chain == ["-j LOG"]


def test_the_other_family() -> None:
    machine = debian()
    AddRule(6, "filter", "FORWARD", ("-j", "ACCEPT")).execute(FakeHost(machine))
    assert machine.network.v6.table("filter")["FORWARD"] == ["-j ACCEPT"]
    assert machine.network.v4.tables == debian().network.v4.tables
