"""The list of minikube machines: what it needs, and a machine that does not answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from installers.core.errors import Failure
from installers.core.host.queries import QUERIES
from installers.machines.minikube.driver import Listed
from tests.unit.machines.desk import SMALL, Desk
from tests.unit.machines.test_minikube_flow import minikubes

pytestmark = pytest.mark.processes


def test_a_machine_that_does_not_answer_keeps_no_other_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dev", "one", "two"):
        desk.driver().create(name, SMALL)
    gate = desk.folder / "gate"
    gate.touch()
    desk.fault(status={"profile": "olares-one", "hang": str(gate)})
    monkeypatch.setitem(QUERIES, "minikube", replace(QUERIES["minikube"], timeout=3.0))
    listed = desk.driver().listed()
    assert [(one.profile.machine, one.state) for one in listed] == [
        ("dev", "running"),
        ("one", "unknown"),
        ("two", "running"),
    ]
    assert "did not finish within 3 s" in listed[1].why
    assert not listed[0].why
    assert minikubes(str(desk.folder)) == []
    # What is asked for by name is still not guessed.
    with pytest.raises(Failure) as unsure:
        desk.driver().start("one")
    assert unsure.value.id == "OLR-MINI-012"
    gate.unlink()
    assert [one.state for one in desk.driver().listed()] == ["running"] * 3


def test_the_list_needs_no_minikube_while_there_is_no_machine(desk: Desk) -> None:
    (desk.folder / "bin/minikube").unlink()
    nothing: tuple[Listed, ...] = ()
    assert desk.driver().listed() == nothing
