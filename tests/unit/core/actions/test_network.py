from __future__ import annotations

import copy

import pytest

from installers.core.actions.network import DeleteLink, MakeLink
from installers.core.model import DONE, Action, Left
from tests.fake import FakeHost, debian
from tests.fake.network import Link

MAKE = MakeLink("olares0", "bridge", ("10.89.0.1/24",))


@pytest.mark.parametrize(
    "before", [None, Link("olares0", "bridge"), Link("olares0", "bridge", True, ["10.89.0.1/24", "10.1.0.1/16"])]
)
def test_made_and_put_back(before: Link | None) -> None:
    machine = debian()
    if before is not None:
        machine.network.links["olares0"] = before
    former = copy.deepcopy(machine.network.links)
    host = FakeHost(machine)
    back = MAKE.inverse(host)
    assert isinstance(back, Action)
    for _ in range(2):
        assert MAKE.execute(host) == DONE
        assert machine.network.links["olares0"].up
        assert "10.89.0.1/24" in machine.network.links["olares0"].addresses
    for _ in range(2):
        assert back.execute(host) == DONE
        assert machine.network.links == former


def test_a_link_of_another_kind_is_somebody_elses() -> None:
    machine = debian()
    machine.network.links["olares0"] = Link("olares0", "vxlan")
    assert isinstance(DeleteLink("olares0", "bridge").execute(FakeHost(machine)), Left)
    assert "olares0" in machine.network.links
