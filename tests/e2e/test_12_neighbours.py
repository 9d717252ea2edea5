"""Olares on a Debian 12 that others are at work on: a firewall, NetworkManager, systemd-resolved, as Debian has them.

ufw first; then it gives way to firewalld, on the same machine. Swap cannot be had in a machine, and is not tried.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest

from tests.e2e import compare
from tests.e2e.cluster import CACHE, PLATFORM, Cluster, Pod
from tests.e2e.conftest import Fresh, Tell
from tests.e2e.inside import Inside, Ran
from tests.e2e.test_02_install import COMPONENTS, journaled
from tests.e2e.test_05_uninstall import uninstall

NAME = "neighbours"
PODS, SERVICES = "10.233.64.0/18", "10.96.0.0/16"
MANAGER = "file:/etc/NetworkManager/conf.d/90-olares.conf"
API = 6443
KUBELET = 10250
"""A port that is open on the node, and that no computer but this one is let to."""

INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install"

# A network file of the machine's becomes a connection of NetworkManager's, and its name server one of resolved's.
MOVE_IN = f"""
apt-get -q update
server=$(sed -n 's/^nameserver //p' /etc/resolv.conf | head -n 1)
address=$(sed -n 's/^Address=//p' /etc/systemd/network/80-container-host0.network)
gateway=$(sed -n 's/^Gateway=//p' /etc/systemd/network/80-container-host0.network)
mkdir -p /etc/NetworkManager/system-connections
cat > /etc/NetworkManager/system-connections/cable.nmconnection <<END
[connection]
id=cable
type=ethernet
interface-name=host0

[ipv4]
method=manual
address1=$address,$gateway
dns=$server;

[ipv6]
method=disabled
END
cat > /etc/NetworkManager/system-connections/mine.nmconnection <<END
# The user's own.
[connection]
id=mine
type=bridge
interface-name=mine0

[bridge]
stp=false

[ipv4]
method=manual
address1=192.0.2.77/24

[ipv6]
method=disabled
END
chmod 600 /etc/NetworkManager/system-connections/*
{INSTALL} network-manager systemd-resolved libnss-resolve ufw
# The way in of these tests opens no session of systemd's, each of which has another number.
echo 'UsePAM no' > /etc/ssh/sshd_config.d/tests.conf
systemctl --quiet disable --now systemd-networkd.socket systemd-networkd.service
# Both were started before the bus had read what they may do there.
systemctl restart systemd-resolved.service
systemctl restart NetworkManager.service
nm-online --quiet --timeout=30
"""

USERS_UFW = """
printf '\\n# A line by hand.\\n' >> /etc/ufw/after.rules
ufw default deny incoming
ufw allow 22/tcp comment 'the way in'
ufw limit 2222/tcp
ufw deny from 198.51.100.0/24
ufw deny from 10.233.0.0/16 comment 'not ours'
ufw route deny from 203.0.113.0/24
ufw --force enable
systemctl start ufw.service
"""

# The zone as somebody wrote it by hand, and a rule that lasts until firewalld starts again.
USERS_FIREWALLD = f"""
ufw disable
{INSTALL.replace(" install", " purge")} ufw
{INSTALL} firewalld
cat > /etc/firewalld/zones/public.xml <<END
<?xml version="1.0" encoding="utf-8"?>
<!-- The user's own. -->
<zone>
    <short>Public</short>
    <service name="ssh"/>
    <port port="2222" protocol="tcp"/>
</zone>
END
firewall-cmd --reload
firewall-cmd --add-port=7070/tcp
"""


REACH = "e2e-reach"
RELOADED = 60.0
"""Seconds until pods reach everything again: kube-proxy looks twice a minute whether its rules are there."""


@pytest.fixture(scope="module")
def inside() -> Iterator[Inside]:
    """A machine with NetworkManager, systemd-resolved and ufw on it; nothing of ours."""
    inside = Inside(NAME)
    try:
        if inside.exists():
            inside.delete()
        inside.create()
        inside.shell(MOVE_IN, timeout=600)
        inside.stop()
        inside.start()
        yield inside
        inside.delete()
    finally:
        inside.close()


@pytest.fixture(scope="module")
def ufw(inside: Inside) -> Fresh:
    """ufw is on."""
    inside.shell(USERS_UFW)
    return shipped(inside)


@pytest.fixture(scope="module")
def beside_ufw(ufw: Fresh) -> Ran:
    return ufw.inside.install()


@pytest.fixture(scope="module")
def beside_ufw_no_more(ufw: Fresh, beside_ufw: Ran) -> Ran:
    return removed(ufw.inside)


@pytest.fixture(scope="module")
def firewalld(inside: Inside, beside_ufw_no_more: Ran) -> Fresh:
    """firewalld is on, in ufw's place."""
    inside.shell(USERS_FIREWALLD, timeout=600)
    return shipped(inside)


@pytest.fixture(scope="module")
def beside_firewalld(firewalld: Fresh) -> Ran:
    return firewalld.inside.install()


def shipped(inside: Inside) -> Fresh:
    """What the machine is before us, and our program on it."""
    before = taken(inside)
    inside.ship()
    return Fresh(inside, before)


def taken(inside: Inside) -> compare.Snapshot:
    # They come when they are asked, and go when they were idle for a while.
    inside.run("nm-online", "--wait-for-startup", "--quiet", "--timeout=30")
    inside.shell("systemctl stop NetworkManager-dispatcher.service systemd-hostnamed.service")
    return compare.take(inside)


def removed(inside: Inside) -> Ran:
    Cluster(inside).kubectl("delete", "pod", "-n", PLATFORM, REACH, "--force", "--grace-period=0", "--ignore-not-found")
    return uninstall(inside)


def pod(inside: Inside) -> Pod:
    """One to look around from, the same for every scenario of an installation."""
    cluster = Cluster(inside)
    return cluster.pod(REACH, cluster.image("deployment/cluster-dns", "kube-system"))


def checks(inside: Inside) -> Mapping[str, str]:
    """What each check says: one that failed how grave it is and what to do, one that passed the detail."""
    (found,) = inside.cli("precheck", ok=(0, 4)).of("precheck")
    rows = {row["id"]: row for row in found["checks"]}
    return {id: f"{row['severity']}: {row['advice']}" if row["advice"] else row["detail"] for id, row in rows.items()}


def mirror(inside: Inside) -> tuple[str, str]:
    """Something beyond this machine that must be there for these tests: name and URL of its Debian mirror."""
    url = inside.shell("apt-get indextargets --format '$(SITE)' | head -n 1").strip()
    return urlsplit(url).hostname or "", url


def lacks(inside: Inside) -> dict[str, str]:
    """What a pod does not reach: names, the world, the API, another pod by its Service, a port of the node."""
    name, url = mirror(inside)
    node = f"http://{inside.machine.address}:9100/metrics"
    urls = (url, "https://kubernetes.default.svc/version", f"http://prometheus.{PLATFORM}:9090/-/ready", node)
    found: dict[str, str] = json.loads(pod(inside).python("reach", name, *urls, timeout=90))
    return found


def assert_reached_again(inside: Inside, done: str, tell: Tell) -> None:
    """Until the pod reaches all of it, nobody helping; and a plan has nothing to do then."""
    began = time.monotonic()
    while wrong := lacks(inside):
        passed = time.monotonic() - began
        assert passed < RELOADED, f"{passed:.0f} s after {done} not reached: {wrong}; a plan names {inside.planned()}"
        time.sleep(1)
    tell(f"{done}: pods reach everything {time.monotonic() - began:.0f} s later")
    assert inside.planned() == {}


def assert_nothing_new(inside: Inside) -> None:
    before = journaled(inside)
    assert inside.install().result["changes"] == 0
    assert journaled(inside) == before


def assert_as_before(machine: Fresh) -> None:
    """All files of NetworkManager, resolved and the firewall, every rule and link: what they were to the byte."""
    machine.inside.run("rm", "-rf", CACHE)
    after = taken(machine.inside)
    rest, _ = compare.remainder(machine.before, after)
    assert not rest, compare.listed(rest)
    assert not (unknown := compare.unknown_unsteady(machine.before, after)), f"not on this machine: {unknown}"


def open_to_others(inside: Inside, *ports: int) -> list[int]:
    """Those of the ports that let in this computer, which is another one to the machine."""
    found = []
    for port in ports:
        with suppress(OSError), closing(socket.create_connection((inside.machine.address, port), 2)):
            found.append(port)
    return found


def allowed(manager: str, *more: str) -> dict[str, str]:
    what = (f"source {PODS}", f"source {SERVICES}", f"port {API}/tcp", *more)
    return {f"allow:{manager} {one}": "change" for one in what}


def planned(inside: Inside) -> dict[str, str]:
    """What a plan does about the host because of what the host is."""
    return {key: decision for key, decision in inside.planned().items() if key.startswith(("allow:", MANAGER))}


def connections(inside: Inside) -> list[tuple[str, ...]]:
    """NetworkManager's links, each with its state and connection."""
    rows = inside.run("nmcli", "-t", "-g", "DEVICE,STATE,CONNECTION", "device").out.splitlines()
    return [tuple(row.split(":")) for row in rows]


def test_checks_and_plan_name_what_is_there_and_what_will_be_done_about_it(ufw: Fresh) -> None:
    inside = ufw.inside
    assert inside.run("systemctl", "is-system-running").out == "running\n"
    assert set(connections(inside)) >= {("host0", "connected", "cable"), ("mine0", "connected", "mine")}
    said = checks(inside)
    assert said["firewall"].startswith("info: nothing: the install has ufw let")
    assert said["forward-policy"] == "dropped by ufw, which the install has let those of pods through"
    assert said["network-manager"].startswith("info: nothing: the install writes")
    assert said["resolv-conf"].startswith("kept by systemd-resolved, which answers here on loopback")
    assert planned(inside) == {MANAGER: "change"} | allowed("ufw", f"forward {PODS}")


def test_beside_ufw_every_component_runs_and_pods_reach_what_they_need(beside_ufw: Ran, ufw: Fresh) -> None:
    inside = ufw.inside
    assert inside.states() == dict.fromkeys(COMPONENTS, "running")
    assert lacks(inside) == {}
    assert open_to_others(inside, 22, API, KUBELET) == [22, API]
    # The stub of the host is no server to a pod.
    assert "nameserver 127." in inside.read("/etc/resolv.conf")
    assert "resolvConf: /run/systemd/resolve/resolv.conf" in inside.read("/var/lib/kubelet/config.yaml")
    assert_nothing_new(inside)


def test_networkmanager_leaves_the_links_of_pods_alone(beside_ufw: Ran, ufw: Fresh) -> None:
    states = {link: state for link, state, _ in connections(ufw.inside)}
    pods = {link: state for link, state in states.items() if link.startswith(("cni", "veth"))}
    assert pods
    assert set(pods.values()) == {"unmanaged"}
    assert (states["host0"], states["mine0"]) == ("connected", "connected")


@pytest.mark.parametrize(
    "done",
    [
        "ufw reload",
        "ufw disable && ufw --force enable",
        "systemctl restart ufw.service",
        "systemctl restart NetworkManager.service",
        "systemctl restart systemd-resolved.service",
    ],
)
def test_pods_stay_connected(done: str, beside_ufw: Ran, ufw: Fresh, tell: Tell) -> None:
    ufw.inside.shell(done)
    assert_reached_again(ufw.inside, done, tell)


def test_an_uninstall_beside_ufw_takes_back_exactly_ours(beside_ufw_no_more: Ran, ufw: Fresh) -> None:
    assert beside_ufw_no_more.result["left"] == []
    assert_as_before(ufw)


def test_firewalld_is_named_and_told_what_it_needs(firewalld: Fresh) -> None:
    said = checks(firewalld.inside)
    assert said["firewall"].startswith("info: nothing: the install has firewalld let")
    assert planned(firewalld.inside) == {MANAGER: "change"} | allowed("firewalld", f"masquerade {PODS}")


def test_beside_firewalld_every_component_runs_and_pods_reach_what_they_need(
    beside_firewalld: Ran, firewalld: Fresh
) -> None:
    inside = firewalld.inside
    assert inside.states() == dict.fromkeys(COMPONENTS, "running")
    assert lacks(inside) == {}
    assert open_to_others(inside, 22, API, KUBELET) == [22, API]
    # It was not reloaded: that would have ended the rule its owner gave it for now.
    assert "7070/tcp" in inside.run("firewall-cmd", "--list-ports").out
    assert_nothing_new(inside)


@pytest.mark.parametrize(
    "done",
    [
        "firewall-cmd --reload",
        pytest.param("firewall-cmd --complete-reload", marks=pytest.mark.long),
        pytest.param("systemctl restart firewalld.service", marks=pytest.mark.long),
    ],
)
def test_pods_are_connected_again_after_firewalld_emptied_iptables(
    done: str, beside_firewalld: Ran, firewalld: Fresh, tell: Tell
) -> None:
    firewalld.inside.shell(done)
    assert_reached_again(firewalld.inside, done, tell)
    firewalld.inside.run("firewall-cmd", "--add-port=7070/tcp")


def test_an_uninstall_beside_firewalld_takes_back_exactly_ours(
    beside_firewalld: Ran, firewalld: Fresh, tell: Tell
) -> None:
    inside = firewalld.inside
    ran = removed(inside)
    assert ran.result["left"] == []
    assert_as_before(firewalld)
    for words in ((), ("--permanent",)):
        zones = inside.run("firewall-cmd", *words, "--list-all-zones").out
        assert not [word for word in (PODS, SERVICES, str(API)) if word in zones], zones
        assert "2222/tcp" in zones
