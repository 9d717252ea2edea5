"""firewalld and ufw: programs that keep the rules of a firewall, as far as we talk to them.

What they let through stands in the tree, so that snapshots see it: firewalld's permanent rules in files of its zones,
which it writes in a form of its own, everything else a line each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from installers.core.model import Output, Query
from tests.fake.commands import Call

if TYPE_CHECKING:
    from tests.fake.machine import FakeMachine

NOW, UFW = "/run/firewalld/rules", "/etc/ufw/rules"
RUNNING = "/sys/fs/cgroup/system.slice/firewalld.service"
ZONES, PACKAGED = "/etc/firewalld/zones", "/usr/lib/firewalld/zones"
LISTED = {"source": "sources", "port": "ports", "rich-rule": "rich rules"}


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
        always = "--permanent" in query.args
        blocks = (_listed(self.machine, zone, always=always) for zone in ("public", "trusted"))
        return Output(0, "\n".join(blocks), "")


def _listed(machine: FakeMachine, zone: str, *, always: bool) -> str:
    rules = _permanent(machine, zone) if always else now(machine, zone)
    found = {kind: [rule.partition("=")[2] for rule in rules if rule.startswith(f"{kind}=")] for kind in LISTED}
    lines = [f"  {LISTED[kind]}: {' '.join(found[kind])}" for kind in ("source", "port")]
    return "\n".join(
        [zone, "  target: default", *lines, "  rich rules: ", *(f"\t{one}" for one in found["rich-rule"]), ""]
    )


def _rules(machine: FakeMachine, path: str) -> list[str]:
    return machine.tree.text(path).splitlines() if machine.tree.exists(path) else []


def _write(machine: FakeMachine, path: str, rules: list[str]) -> None:
    machine.tree.file(path, "".join(f"{rule}\n" for rule in rules))


def now(machine: FakeMachine, zone: str) -> list[str]:
    """The rules in force in a zone."""
    return [rule.partition(" ")[2] for rule in _rules(machine, NOW) if rule.startswith(f"{zone} ")]


def _permanent(machine: FakeMachine, zone: str) -> list[str]:
    """Those of its file; each is an element of its own here, whatever its kind."""
    path = next(path for top in (ZONES, PACKAGED) if machine.tree.exists(path := f"{top}/{zone}.xml"))
    written = ElementTree.fromstring(machine.tree.text(path))  # noqa: S314 (a test's own)
    return [f"{element.tag}={element.get('is')}" for element in written]


def always(machine: FakeMachine, zone: str, rules: list[str]) -> None:
    """Have firewalld write a zone: in its own form, the former file beside it."""
    path, elements = (
        f"{ZONES}/{zone}.xml",
        "".join(f"  <{kind} is={quoteattr(value)}/>\n" for kind, _, value in (rule.partition("=") for rule in rules)),
    )
    if machine.tree.exists(path):
        machine.tree.file(f"{path}.old", machine.tree.text(path))
    machine.tree.file(path, f"<zone>\n{elements}</zone>\n")


def _firewall_cmd(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    offline = call.argv[0] == "firewall-offline-cmd"
    if not offline and not machine.tree.exists(RUNNING):
        call.fail(252, "FirewallD is not running")
        return
    zone = next(word.partition("=")[2] for word in call.argv if word.startswith("--zone="))
    verb, _, rule = call.argv[-1].removeprefix("--").partition("-")
    permanent = offline or "--permanent" in call.argv
    before = _permanent(machine, zone) if permanent else now(machine, zone)
    after = [*(one for one in before if one != rule), *([rule] if verb == "add" else [])]
    if after == before:
        return
    if permanent:
        always(machine, zone, after)
    else:
        others = [one for one in _rules(machine, NOW) if not one.startswith(f"{zone} ")]
        _write(machine, NOW, [*others, *(f"{zone} {one}" for one in after)])


def _ufw(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    words = call.argv[1:]
    delete = words[1 if words[0] == "route" else 0] == "delete"
    first = "prepend" in words
    rule = " ".join(word for word in words if word not in ("delete", "prepend"))
    rules = [one for one in _rules(machine, UFW) if one != rule]
    _write(machine, UFW, rules if delete else [rule, *rules] if first else [*rules, rule])


def with_firewalld(machine: FakeMachine) -> None:
    machine.tree.directory(RUNNING)
    machine.commands |= {("firewall-cmd",): _firewall_cmd, ("firewall-offline-cmd",): _firewall_cmd}
    machine.answers = Answers(machine)
    _write(machine, NOW, [])
    for zone in ("public", "trusted"):
        machine.tree.file(f"{PACKAGED}/{zone}.xml", "<zone/>\n")
    machine.tree.directory(ZONES)


def with_ufw(machine: FakeMachine) -> None:
    machine.tree.file("/etc/ufw/ufw.conf", "ENABLED=yes\nLOGLEVEL=low\n")
    machine.commands |= {("ufw",): _ufw}
    machine.answers = Answers(machine)
    _write(machine, UFW, [])
