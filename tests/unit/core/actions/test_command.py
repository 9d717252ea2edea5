from __future__ import annotations

from collections.abc import Iterator

import pytest

from installers.core.actions.command import RunCommand
from installers.core.facts.results import FilesPresent
from installers.core.model import Action, Irreversible, Secret
from installers.core.resources.command import GuardedCommand
from installers.site import Paths
from tests.fake import Call, FakeHost, FakeMachine, debian

DONE_WHEN = FilesPresent(("/etc/thing",))


def thing(machine: FakeMachine, call: Call) -> Iterator[None]:
    machine.tree.file("/etc/thing", (call.input or b"").decode())
    call.stdout = "one\ntwo\n"
    yield


def unthing(machine: FakeMachine, call: Call) -> Iterator[None]:
    if machine.tree.exists("/etc/thing"):
        machine.tree.unlink("/etc/thing")
    yield


@pytest.fixture
def machine() -> FakeMachine:
    machine = debian()
    machine.commands[("thing", "make")] = thing
    machine.commands[("thing", "reset")] = unthing
    machine.tree.file(f"{Paths().secrets}/a", "hidden")
    return machine


def test_run_and_undone(machine: FakeMachine) -> None:
    lines: list[str] = []
    host = FakeHost(machine, emit_progress=lambda done, total, unit, text: lines.append(text))
    action = RunCommand(
        "thing", ("thing", "make"), 5.0, ("thing", "reset"), input=f"key: {Secret('a')}", undo_removes="cluster"
    )
    back = action.inverse(host)
    assert isinstance(back, Action)
    assert (action.removes, back.removes) == ("", "cluster")
    action.execute(host)
    assert host.read("/etc/thing") == b"key: hidden"
    assert lines == ["one", "two"]
    for _ in range(2):
        back.execute(host)
        assert host.stat("/etc/thing") is None
    assert isinstance(back.inverse(host), Irreversible)


def test_recovery_is_what_the_component_says(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    RunCommand("thing", ("thing", "make"), 5.0).recover(host)
    machine.tree.file("/etc/thing", "half")
    RunCommand("thing", ("thing", "make"), 5.0, recover_argv=("thing", "reset")).recover(host)
    assert host.stat("/etc/thing") is None


def test_no_way_back_needs_a_reason(machine: FakeMachine) -> None:
    with pytest.raises(ValueError, match="either"):
        GuardedCommand("thing", ("thing", "make"), DONE_WHEN, 5.0)
    with pytest.raises(ValueError, match="either"):
        GuardedCommand("thing", ("thing", "make"), DONE_WHEN, 5.0, undo_argv=("thing", "reset"), undo="why")
    action = RunCommand("thing", ("thing", "make"), 5.0, reason="it is sent by post")
    assert action.inverse(FakeHost(machine)) == Irreversible("it is sent by post")


@pytest.mark.parametrize(
    "where",
    [{"argv": ("thing", str(Secret("a")))}, {"env": (("KEY", str(Secret("a"))),)}, {"undo_argv": (str(Secret("a")),)}],
)
def test_no_secret_in_a_command_line(where: dict[str, tuple[str, ...]]) -> None:
    fields = {"argv": ("thing", "make"), "undo_argv": ("thing", "reset"), **where}
    with pytest.raises(ValueError, match="secret"):
        GuardedCommand("thing", done_when=DONE_WHEN, timeout=5.0, **fields)  # type: ignore[arg-type]
