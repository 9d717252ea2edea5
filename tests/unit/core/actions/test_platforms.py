"""What is done to firewalls, NetworkManager and a Pi's command line: done and undone, also when cut off in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from installers.core.actions.allowances import Allow, Disallow
from installers.core.actions.services import PutServiceFile
from installers.core.actions.words import AddWords
from installers.core.component.codec import ActionCodec
from installers.core.facts.allowances import Allowed, FirewallAllows
from installers.core.facts.firewalld import ALWAYS, NOW
from installers.core.facts.lines import line_with, line_without
from installers.core.model import Action, Done, Irreversible, Left
from tests.fake import Crash, FakeHost, FakeMachine, debian, differences
from tests.fake.walls import RUNNING, ZONES, always, with_firewalld, with_ufw

CODEC = ActionCodec()
OWN = ("/var/lib/olares*",)
MANAGER = "[Service]\nExecStart=/usr/sbin/NetworkManager /etc/NetworkManager/conf.d/90-olares.conf\nExecReload=x\n"
CMDLINE = "/boot/firmware/cmdline.txt"
PODS = "source 10.42.0.0/16"


def _manager(machine: FakeMachine) -> None:
    machine.tree.file("/usr/lib/systemd/system/NetworkManager.service", MANAGER)
    machine.tree.directory("/etc/NetworkManager/conf.d")
    machine.units.load()
    machine.units.start("NetworkManager.service")


def _half_open(machine: FakeMachine) -> None:
    with_firewalld(machine)
    FakeHost(machine).run(["firewall-cmd", "--permanent", "--zone=trusted", "--add-source=10.42.0.0/16"], timeout=1)


HAND = "<zone>\n    <!-- Mine. -->\n    <port is='22/tcp'/><port is='21/tcp'/>\n</zone>"


def _by_hand(machine: FakeMachine) -> None:
    """A zone its owner wrote for himself alone, and a former one beside it."""
    with_firewalld(machine)
    machine.tree.file(f"{ZONES}/public.xml", HAND, mode=0o640)
    machine.tree.file(f"{ZONES}/public.xml.old", "<zone/>", mode=0o640)


def _line(text: str) -> Callable[[FakeMachine], object]:
    return lambda machine: machine.tree.file(CMDLINE, text, mode=0o755)


@dataclass(frozen=True)
class Scenario:
    name: str
    action: Action
    prepare: Callable[[FakeMachine], object]


PUT = PutServiceFile("NetworkManager.service", "/etc/NetworkManager/conf.d/90-olares.conf", "[keyfile]\n")
WORDS = AddWords(CMDLINE, ("cgroup_memory=1", "cgroup_enable=memory"))
SCENARIOS = [
    Scenario("firewalld, pods", Allow("firewalld", PODS), with_firewalld),
    Scenario("firewalld, a port", Allow("firewalld", "port 6443/tcp"), with_firewalld),
    Scenario("firewalld, one of two sets has it", Allow("firewalld", PODS), _half_open),
    Scenario("firewalld, masquerade", Allow("firewalld", "masquerade 10.42.0.0/16"), with_firewalld),
    Scenario("firewalld, a zone by hand", Allow("firewalld", "port 6443/tcp"), _by_hand),
    Scenario("ufw, pods", Allow("ufw", PODS), with_ufw),
    Scenario("ufw, forwarded", Allow("ufw", "forward 10.42.0.0/16"), with_ufw),
    Scenario("ufw, a port", Allow("ufw", "port 6443/tcp"), with_ufw),
    Scenario("NetworkManager runs", PUT, _manager),
    Scenario("NetworkManager does not run", PUT, lambda machine: machine.tree.directory("/etc/NetworkManager/conf.d")),
    Scenario("command line", WORDS, _line("console=tty1 root=/dev/sda2 rootwait\n")),
    Scenario("command line without its end", WORDS, _line("console=tty1 rootwait")),
    Scenario("command line with one of them", WORDS, _line("cgroup_memory=1 rootwait \n")),
]
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def fresh(scenario: Scenario) -> tuple[FakeMachine, FakeHost, dict[str, object]]:
    machine = debian()
    scenario.prepare(machine)
    return machine, FakeHost(machine), machine.snapshot(*OWN)


def way_back(action: Action, host: FakeHost) -> Action:
    inverse = action.inverse(host)
    assert not isinstance(inverse, Irreversible)
    return CODEC.decode(CODEC.encode(inverse))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_done_and_undone(scenario: Scenario) -> None:
    machine, host, before = fresh(scenario)
    inverse = way_back(scenario.action, host)
    assert scenario.action.execute(host) == Done()
    assert differences(before, machine.snapshot(*OWN)), "the action did nothing"
    assert machine.units.stale() == {}
    for _ in range(2):
        assert inverse.execute(host) == Done()
        assert differences(before, machine.snapshot(*OWN)) == []


@pytest.mark.parametrize("when", ["before", "inside", "after"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_cut_off_anywhere(scenario: Scenario, when: str) -> None:
    """Cut off in each of its mutations, put to rest, done again, taken back twice."""
    machine, host, _ = fresh(scenario)
    count = machine.crash.count
    scenario.action.execute(host)
    for number in range(1, machine.crash.count - count + 1):
        machine, host, before = fresh(scenario)
        inverses = [way_back(scenario.action, host)]
        machine.crash_at(number, when)  # type: ignore[arg-type]
        with pytest.raises(Crash):
            scenario.action.execute(host)
        machine.crash.disarm()
        scenario.action.recover(host)
        assert machine.units.stale() == {}, "nobody would have it read later"
        inverses.append(way_back(scenario.action, host))
        scenario.action.execute(host)
        for inverse in reversed(inverses):
            assert inverse.execute(host) == Done()
        assert differences(before, machine.snapshot(*OWN)) == []


def test_both_sets_of_firewalld_are_written() -> None:
    _, host, _ = fresh(BY_NAME["firewalld, pods"])
    Allow("firewalld", PODS).execute(host)
    Allow("firewalld", "port 6443/tcp").execute(host)
    both = (PODS, "port 6443/tcp")
    assert FirewallAllows("firewalld").load(host) == Allowed(both, both, zone="public")


def test_a_rule_that_was_there_is_left_at_undo() -> None:
    _, host, _ = fresh(BY_NAME["firewalld, one of two sets has it"])
    inverse = Allow("firewalld", PODS).inverse(host)
    assert inverse == Disallow("firewalld", PODS, (NOW,), "trusted")
    Allow("firewalld", PODS).execute(host)
    assert not isinstance(inverse, Irreversible)
    inverse.execute(host)
    assert FirewallAllows("firewalld").load(host) == Allowed((), (PODS,), zone="public")


def test_what_a_firewall_begins_with_is_taken_back_while_it_is_off() -> None:
    machine, host, before = fresh(BY_NAME["firewalld, pods"])
    inverse = way_back(Allow("firewalld", PODS), host)
    Allow("firewalld", PODS).execute(host)
    machine.tree.unlink(RUNNING)
    machine.tree.file("/run/firewalld/rules", "")
    assert inverse.execute(host) == Done()
    machine.tree.directory(RUNNING)
    assert differences(before, machine.snapshot(*OWN)) == []


def test_what_its_owner_wrote_into_a_zone_since_stays() -> None:
    machine, host, _ = fresh(BY_NAME["firewalld, a zone by hand"])
    inverse = way_back(Allow("firewalld", "port 6443/tcp"), host)
    Allow("firewalld", "port 6443/tcp").execute(host)
    host.run(["firewall-cmd", "--permanent", "--zone=public", "--add-port=80/tcp"], timeout=1)
    assert inverse.execute(host) == Done()
    found = machine.tree.text(f"{ZONES}/public.xml")
    assert [port in found for port in ("22/tcp", "80/tcp", "6443/tcp")] == [True, True, False]


def test_a_port_is_closed_in_the_zone_it_was_opened_in() -> None:
    machine, host, before = fresh(BY_NAME["firewalld, a port"])
    inverse = way_back(Allow("firewalld", "port 6443/tcp"), host)
    Allow("firewalld", "port 6443/tcp").execute(host)
    machine.tree.file("/etc/firewalld/firewalld.conf", "DefaultZone=trusted\n")
    assert FirewallAllows("firewalld").load(host) == Allowed((), (), zone="trusted")
    inverse.execute(host)
    machine.tree.unlink("/etc/firewalld/firewalld.conf")
    assert differences(before, machine.snapshot(*OWN)) == []


def test_a_rule_of_ours_stands_before_its_owners_wider_ones_and_a_port_after_them() -> None:
    machine, host, _ = fresh(BY_NAME["ufw, pods"])
    machine.tree.file("/etc/ufw/rules", "deny from 10.0.0.0/8\n")
    for what in (PODS, "port 6443/tcp"):
        Allow("ufw", what).execute(host)
    lines = ["allow from 10.42.0.0/16", "deny from 10.0.0.0/8", "allow 6443/tcp"]
    assert machine.tree.text("/etc/ufw/rules").splitlines() == lines


def test_a_range_opened_since_stays_whole() -> None:
    """firewalld makes one of a port and a range around it, and would make two ranges of it again."""
    machine, host, _ = fresh(BY_NAME["firewalld, a port"])
    inverse = way_back(Allow("firewalld", "port 6443/tcp"), host)
    machine.tree.file("/run/firewalld/rules", "public port=1025-65535/tcp\n")
    always(machine, "public", ["port=1025-65535/tcp"])
    called = len(machine.crash.log)
    assert inverse.execute(host) == Done()
    assert len(machine.crash.log) == called


def test_a_firewall_removed_since_keeps_nobody_from_undoing() -> None:
    machine, host, _ = fresh(BY_NAME["ufw, pods"])
    inverse = Disallow("ufw", PODS, (NOW, ALWAYS))
    machine.missing.add("ufw")
    machine.tree.unlink("/etc/ufw/ufw.conf")
    assert inverse.execute(host) == Done()


def test_a_drop_in_somebody_changed_stays() -> None:
    machine, host, _ = fresh(BY_NAME["NetworkManager runs"])
    inverse = way_back(PUT, host)
    PUT.execute(host)
    machine.tree.file(PUT.path, "[keyfile]\nunmanaged-devices=none\n")
    assert isinstance(inverse.execute(host), Left)


def test_words_others_wrote_since_stay() -> None:
    machine, host, _ = fresh(BY_NAME["command line"])
    inverse = way_back(WORDS, host)
    WORDS.execute(host)
    line = "console=tty1 root=/dev/sda2 rootwait cgroup_memory=1 cgroup_enable=memory\n"
    assert machine.tree.text(CMDLINE) == line
    machine.tree.file(CMDLINE, line.replace("\n", " quiet\n"), mode=0o755)
    inverse.execute(host)
    assert machine.tree.text(CMDLINE) == "console=tty1 root=/dev/sda2 rootwait quiet\n"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a b\n", b"a b", b"a \n", b"  a\tb\r\n", b"a\nb\n", b"w1 a\n", b"\xff a\n"]
)
def test_a_line_is_the_same_to_the_byte_after_words_came_and_went(content: bytes) -> None:
    words = tuple(word for word in ("w1", "w2") if word.encode() not in content.split())
    there = line_with(content, words)
    assert there.count(b"\n") == content.count(b"\n")
    assert set(there.split(b"\n")[0].split()) >= {b"w1", b"w2"}
    assert line_without(there, words) == content
