"""What is done on each recorded or composed host because of what it is; on a plain Debian nothing.

The recordings hold what facts and checks read. What only our own steps ask besides (a unit, a file of ours) is
answered here, by hand.
"""

from __future__ import annotations

from functools import cache

import msgspec
import pytest
import yaml

from installers.choice import ENGINES, components
from installers.core.component.values import Platform, Values
from installers.core.engine.plan import Past, Plan, make_plan
from installers.core.errors import Failure
from installers.core.host.archive import Archive, decode
from installers.core.host.replay import ReplayProbe
from installers.core.model import Blocked, Change, Deferred, Output, Query, Satisfied, Stat, Step
from installers.core.resources.files import File
from installers.core.resources.templates import Template
from installers.infrastructure.host.install import MEMORY, UNMANAGED, resources
from installers.install import component_steps
from installers.precheck.network import PORTS
from installers.precheck.record import load_facts
from installers.site import Node, Site
from tests.hosts import HOSTS, NAMES

NOTHING = Past({}, {})
PODS, SERVICES = "source 10.233.64.0/18", "source 10.96.0.0/16"
PLANNED = [name for name in NAMES if name not in ("wsl1", "debian-12-vm", "macos")]
"""Where systemd is not process 1, as in these, an install is refused before anything is planned."""


class Here(ReplayProbe):
    """A recorded host on which nothing of ours is; ``rules``: what its firewall lets through already."""

    def __init__(self, archive: Archive, rules: str = "") -> None:
        super().__init__(archive)
        self.rules = rules

    def stat(self, path: str) -> Stat | None:
        return None if "olares" in path else super().stat(path)

    def query(self, query: Query) -> Output:
        if query.name == "systemctl" and "olares-" in query.args[-1]:
            return Output(0, "LoadState=not-found\nActiveState=inactive\n", "")
        if query.name == "firewall-cmd":
            return Output(0, f"public (active)\n  interfaces: eth0\n\ntrusted\n  sources: {self.rules}\n", "")
        if query.name == "ufw":
            return Output(0, "Added user rules (see 'ufw status' for running firewall):\nufw allow OpenSSH\n", "")
        return super().query(query)


@cache
def archive(name: str) -> Archive:
    path = HOSTS / f"{name}.yaml"
    return decode(path.read_text(), path=str(path))


def planned(name: str, *, rules: str = "", opens: tuple[int, ...] = (6443,), edition: str = "") -> Plan:
    site = Site(node=Node("box", "192.168.1.20"), edition=edition)
    chain: list[Step] = []
    before = frozenset[str]()
    for resource in resources(site, Values(Platform("", "amd64"), opens=opens)):
        chain.append(Step(resource, "host", "host", before))
        before = frozenset({resource.key})
    return make_plan(chain, Here(archive(name), rules), NOTHING)


def done(plan: Plan) -> dict[str, list[str]]:
    """The kinds of actions by key, ``waits`` for what waits for a person."""
    found: dict[str, list[str]] = {}
    for item in plan.items:
        match item.decision:
            case Satisfied():
                pass
            case Change(actions, _, _):
                found[item.step.resource.key] = [action.kind for action in actions]
            case Deferred(_, _, id):
                found[item.step.resource.key] = [f"waits: {id}"]
            case other:
                raise AssertionError(f"{item.step.resource.key}: {other}")
    return found


MANAGER = {"file:/etc/NetworkManager/conf.d/90-olares.conf": ["put-service-file"]}
FIREWALLD = {f"allow:firewalld {what}": ["allow"] for what in (PODS, SERVICES, "port 6443/tcp")}
UFW = {f"allow:ufw {what}": ["allow"] for what in (PODS, SERVICES, f"forward {PODS.split()[1]}", "port 6443/tcp")}
KMSG = {
    "file:/etc/tmpfiles.d/olares-kmsg.conf": ["put-file"],
    "symlink:/dev/kmsg": ["put-symlink"],
}
CONTAINER = KMSG | {
    "unit:olares-shared-mounts.service": ["put-unit-file", "start-unit", "enable-unit"],
}
PI = {f"cmdline:{' '.join(MEMORY)}": ["add-words"], "restart:memory": ["waits: OLR-BOOT-001"]}
DONE: dict[str, dict[str, list[str]]] = {
    "fedora-43": MANAGER | FIREWALLD,
    "rhel-9": MANAGER | FIREWALLD,
    "opensuse-leap-16": MANAGER | FIREWALLD,
    "almalinux-10": MANAGER,
    "ubuntu-22.04-docker": UFW,
    "raspberry-pi-4": MANAGER | PI,
    "raspberry-pi-5": MANAGER | PI,
    "lxc-debian-13": CONTAINER,
    "pve-lxc-debian-12": CONTAINER,
    "incus-ubuntu-24.04": CONTAINER,
    "lxc-debian-13-vm": KMSG,
    "lxc-unprivileged-vm": KMSG,
}
"""Everything that is done, by host; on a host that is not here nothing is."""

RESOLVED = frozenset(
    {"ubuntu-22.04-docker", "ubuntu-24.04", "ubuntu-26.04", "fedora-43", "arch", "incus-ubuntu-24.04", "debian-forky"}
)
"""The hosts whose /etc/resolv.conf names only systemd-resolved's stub."""


@pytest.mark.parametrize("name", PLANNED)
def test_exactly_this_is_done(name: str) -> None:
    assert done(planned(name)) == DONE.get(name, {})


@pytest.mark.parametrize("name", PLANNED)
def test_the_restart_comes_last(name: str) -> None:
    """Everything else stands when the run ends there, and is not asked for a second time."""
    assert planned(name).items[-1].step.resource.key == "restart:memory"


def test_rules_that_were_there_are_left_alone() -> None:
    assert done(planned("rhel-9", rules="10.233.64.0/18 10.1.0.0/16")) == {
        key: kinds for key, kinds in (MANAGER | FIREWALLD).items() if PODS not in key
    }


def test_where_nobody_else_masquerades_pods_firewalld_does() -> None:
    """It empties iptables at a reload, and the bridge plugin writes a pod's rule once."""
    found = done(planned("rhel-9", edition="debian"))
    assert found == MANAGER | FIREWALLD | {f"allow:firewalld masquerade {PODS.split()[1]}": ["allow"]}


def test_no_port_is_opened_that_no_component_opens() -> None:
    assert not any("port" in key for key in done(planned("rhel-9", opens=())))


@pytest.mark.parametrize(("edition", "kube"), [(edition, kube) for edition, kubes in ENGINES.items() for kube in kubes])
def test_only_the_api_is_open_to_others_and_no_port_is_one_of_proxmox(edition: str, kube: str) -> None:
    """pveproxy, spiceproxy, pvedaemon, rpcbind, postfix, corosync, consoles and migration of its guests."""
    theirs = {8006, 3128, 85, 111, 25, *range(5405, 5413), *range(5900, 6000), *range(60000, 60051)}
    manifests = [one.manifest for one in components(Site(source=edition, edition=edition, kube=kube))]
    assert {port for manifest in manifests for port in manifest.opens} == {6443}
    assert all(set(manifest.opens) <= set(manifest.ports) for manifest in manifests)
    assert not theirs & {port for manifest in manifests for port in manifest.ports}
    assert not theirs & {port for port, _, _ in PORTS}


def test_a_pi_without_its_boot_partition_is_refused_by_name() -> None:
    found = archive("raspberry-pi-5")
    gone = dict.fromkeys(("/boot/firmware/cmdline.txt", "/boot/cmdline.txt"))
    without = msgspec.structs.replace(found, paths={**found.paths, **gone})
    steps = [Step(one, "host", "host") for one in resources(Site(), Values(Platform("", "arm64")))]
    [refused] = make_plan(steps, Here(without), NOTHING).blocked()
    assert isinstance(refused.decision, Blocked)
    said = str(Failure(refused.decision.id, **refused.decision.fields))
    assert said == "OLR-BOOT-002: the firmware's cmdline.txt is neither in /boot/firmware nor in /boot"


def test_networkmanager_adds_to_what_it_leaves_alone() -> None:
    lines = [line for line in UNMANAGED.splitlines() if not line.startswith("#")]
    assert lines[0] == "[keyfile]"
    assert lines[1].startswith("unmanaged-devices+=interface-name:cali*;")
    assert lines[1].endswith(";interface-name:veth*")


@pytest.mark.parametrize("edition", ["debian", "upstream"])
@pytest.mark.parametrize("name", PLANNED)
def test_the_kubelet_is_given_servers_that_pods_reach(name: str, edition: str) -> None:
    """And keeps the swap a host has: it is told not to mind. Limits of the whole computer are left alone."""
    site = Site(source=edition, edition=edition, kube="kubernetes", node=Node("box", "192.168.1.20"))
    steps = component_steps(site, Platform("bookworm", "amd64"))
    [file] = [step.resource for step in steps if step.resource.key == "file:/etc/olares/kubeadm.yaml"]
    assert isinstance(file, File)
    assert isinstance(file.content, Template)
    text = file.content.render(load_facts(Here(archive(name)), file.content.needs()))
    found = {one["kind"]: one for one in yaml.safe_load_all(text)}
    assert found["KubeletConfiguration"]["failSwapOn"] is False
    assert (found["KubeProxyConfiguration"]["conntrack"]["maxPerCore"], found["KubeProxyConfiguration"]["mode"]) == (
        0,
        "iptables",
    )
    wanted = "/run/systemd/resolve/resolv.conf" if name in RESOLVED else "/etc/resolv.conf"
    # Named a file that is not there, the kubelet starts no pod.
    wanted = "" if name == "raspberry-pi-4-debian-12" else wanted
    assert found["KubeletConfiguration"].get("resolvConf", "/etc/resolv.conf") == wanted
