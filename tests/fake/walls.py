"""firewalld and ufw: programs that keep the rules of a firewall, as far as we talk to them.

What they let through stands in the tree, a line each, so that snapshots see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from installers.core.model import Output, Query
from tests.fake.commands import Call

if TYPE_CHECKING:
    from tests.fake.machine import FakeMachine

NOW, ALWAYS, UFW = "/run/firewalld/rules", "/etc/firewalld/rules", "/etc/ufw/rules"
RUNNING = "/sys/fs/cgroup/system.slice/firewalld.service"


class Answers(dict[Query, Output]):
    """Answers that follow the rules as they are now."""

    def __init__(self, machine: FakeMachine) -> None:
        super().__init__(machine.answers)
        self.machine = machine

    def __contains__(self, query: object) -> bool:
        return isinstance(query, Query) and (query.name in ("firewall-cmd", "ufw") or super().__contains__(query))

    def __getitem__(self, query: Query) -> Output:
        if query.name == "ufw":
            added = "".join(f"ufw {rule}\n" for rule in _rules(self.machine, UFW)) or "(None)\n"
            return Output(0, f"Added user rules (see 'ufw status' for running firewall):\n{added}", "")
        if query.name != "firewall-cmd":
            return super().__getitem__(query)
        if not self.machine.tree.exists(RUNNING):
            return Output(252, "", "FirewallD is not running\n")
        zone, what = ("trusted", "source") if "--list-sources" in query.args else ("", "port")
        rules = _rules(self.machine, ALWAYS if "--permanent" in query.args else NOW)
        found = [rule.rpartition("=")[2] for rule in rules if rule.startswith(f"{zone} {what}=")]
        return Output(0, f"{' '.join(found)}\n", "")


def _rules(machine: FakeMachine, path: str) -> list[str]:
    return machine.tree.text(path).splitlines() if machine.tree.exists(path) else []


def _write(machine: FakeMachine, path: str, rules: list[str]) -> None:
    machine.tree.file(path, "".join(f"{rule}\n" for rule in rules))


def _firewall_cmd(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    offline = call.argv[0] == "firewall-offline-cmd"
    if not offline and not machine.tree.exists(RUNNING):
        call.fail(252, "FirewallD is not running")
        return
    path = ALWAYS if offline or "--permanent" in call.argv else NOW
    zone = "trusted" if "--zone=trusted" in call.argv else ""
    verb, _, rest = call.argv[-1].removeprefix("--").partition("-")
    rule, rules = f"{zone} {rest}", _rules(machine, path)
    _write(machine, path, [*(one for one in rules if one != rule), *([rule] if verb == "add" else [])])


def _ufw(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    words = call.argv[1:]
    delete = words[1 if words[0] == "route" else 0] == "delete"
    rule, rules = " ".join(word for word in words if word != "delete"), _rules(machine, UFW)
    _write(machine, UFW, [*(one for one in rules if one != rule), *([] if delete else [rule])])


def with_firewalld(machine: FakeMachine) -> None:
    machine.tree.directory(RUNNING)
    machine.commands |= {("firewall-cmd",): _firewall_cmd, ("firewall-offline-cmd",): _firewall_cmd}
    machine.answers = Answers(machine)
    for path in (NOW, ALWAYS):
        _write(machine, path, [])


def with_ufw(machine: FakeMachine) -> None:
    machine.tree.file("/etc/ufw/ufw.conf", "ENABLED=yes\nLOGLEVEL=low\n")
    machine.commands |= {("ufw",): _ufw}
    machine.answers = Answers(machine)
    _write(machine, UFW, [])
