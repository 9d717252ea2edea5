"""``machine`` as it is typed, as far as the machines' own Linux is not needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from installers.core.remote.client import Address
from installers.machines import up
from installers.machines.driver import Driver
from installers.machines.layout import Machine
from tests.unit.machines.test_inherit import Over
from tests.unit.olares_cli.conftest import Run

PROXY = "proxy: {http: 'http://%s:3128', https: ''}\n"


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Over:
    """A machine that is there at once, and what is put in it. The environment's proxies are put back afterwards."""
    over = Over()
    machine = Machine(
        "olares", "10.199.7.11", *(str(tmp_path / name) for name in ("home", "base", "cache", "b", "run"))
    )

    @contextmanager
    def connect(address: Address) -> Iterator[Over]:
        yield over

    monkeypatch.setattr(up, "connect", connect)
    monkeypatch.setattr(Driver, "create", lambda self, name, release="": machine)
    monkeypatch.setattr(Driver, "start", lambda self, name: machine)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for one in (name, name.upper()):
            monkeypatch.setenv(one, "")
    return over


@pytest.mark.parametrize("verb", ["create", "start"])
def test_a_machine_gets_this_computers_proxy(run: Run, inside: Over, tmp_path: Path, verb: str) -> None:
    (tmp_path / "olares.yaml").write_text(PROXY % "proxy.example")
    assert run("machine", verb).code == 0
    (content,) = inside.files.values()
    assert b"http://proxy.example:3128" in content


def test_a_proxy_that_a_machine_cannot_reach_is_told(run: Run, inside: Over, tmp_path: Path) -> None:
    (tmp_path / "olares.yaml").write_text(PROXY % "127.0.0.1")
    ended = run("machine", "create")
    assert (ended.code, inside.files) == (0, {})
    assert "OLR-MACH-010" in ended.err
    refused = run("machine", "up", "--wheelhouse", str(tmp_path))
    assert refused.code == 1
    assert "OLR-MACH-010" in refused.err


def test_interrupted_it_is_the_same_command_that_goes_on(
    run: Run, inside: Over, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Driver, name: str, release: str = "") -> Machine:
        raise KeyboardInterrupt

    monkeypatch.setattr(Driver, "create", interrupted)
    ended = run("machine", "create")
    assert (ended.code, ended.err) == (130, "Interrupted. The same command goes on with a run that had begun.\n")


def test_without_a_way_out_of_its_own_nothing_is_said_or_asked(run: Run, inside: Over) -> None:
    ended = run("machine", "create")
    assert (ended.code, inside.calls) == (0, [])
    assert "OLR" not in ended.err


def test_a_configuration_nobody_can_read_stops_it_before_anything(run: Run, inside: Over, tmp_path: Path) -> None:
    (tmp_path / "olares.yaml").write_text("proxy: [\n")
    for verb in ("create", "start", "up"):
        ended = run("machine", verb)
        assert (ended.code, inside.calls) == (2, []), verb
        assert "OLR-CFG-001" in ended.err
