"""All checks at once: on a fake Debian host, with answers that do not come, and with a journal of our own."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from installers.core.engine.journal import Journal
from installers.core.facts.platform import Hostname
from installers.core.model import Fact, Facts, Output, Probe, Query, Unknown
from installers.install import Options, precheck
from installers.precheck.capacity import BUILDING, KUBERNETES, MIB
from installers.precheck.check import BaseCheck, CheckResult, Passed, Verdict
from installers.precheck.kernel import NETFILTER
from installers.precheck.network import PORTS
from installers.precheck.platforms import KUBELET_KEYS
from installers.precheck.run import checks, components_here, run
from installers.site import Paths, Site
from tests.fake.debian import debian
from tests.fake.host import FakeProbe
from tests.fake.machine import FakeMachine

ROOT = Path(__file__).parents[2]
FILES = {
    "/proc/self/status": "Name:\tpython3\nUid:\t0\t0\t0\t0\nCapBnd:\t000001ffffffffff\n",
    "/proc/1/comm": "systemd\n",
    "/proc/sys/kernel/arch": "x86_64\n",
    "/proc/meminfo": "MemTotal:        8000000 kB\n",
    "/sys/devices/system/cpu/online": "0-3\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
    "/proc/filesystems": "nodev\toverlay\n\text4\n",
    "/proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
    "/proc/sys/net/netfilter/nf_conntrack_max": "65536\n",
    "/proc/net/ip_tables_targets": "MASQUERADE\nDNAT\n",
    "/proc/net/tcp": "  sl  local_address rem_address   st\n",
    "/proc/net/route": "Iface\tDestination\tGateway\n"
    "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
    "/proc/locks": "1: POSIX  ADVISORY  WRITE 812 00:01:999999 0 EOF\n",
    "/etc/resolv.conf": "nameserver 192.0.2.1\n",
    "/etc/apt/sources.list": "deb http://mirror.example/debian bookworm main\n",
    "/run/systemd/timesync/synchronized": "",
    "/proc/self/uid_map": "         0          0 4294967295\n",
    "/proc/self/auxv": "\x06" + "\0" * 8 + "\x10" + "\0" * 6,
    "/proc/net/fib_trie": "Main:\n  |-- 192.0.2.0\n     /24 link UNICAST\n"
    "Local:\n  |-- 127.0.0.1\n     /32 host LOCAL\n  |-- 192.0.2.7\n     /32 host LOCAL\n",
    "/proc/self/attr/apparmor/current": "unconfined\n",
    "/dev/kmsg": "",
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/usr/bin/apt-get": "",
    "/var/cache/olares/measured/fsync.json": '{"device": 2048, "count": 9000, "median": 0.0002, "p99": 0.0009}',
    "/lib64/ld-linux-x86-64.so.2": "",
    "/lib/modules/6.1.0-18-amd64/modules.dep": "".join(f"kernel/net/{name}.ko:\n" for name in NETFILTER),
}
"""What a fresh server has beside what the fake one starts with."""


@pytest.fixture
def machine() -> FakeMachine:
    machine = debian()
    for path, text in FILES.items():
        machine.tree.file(path, text)
    machine.tree.mounts.append(
        replace(machine.tree.mounts[0], point="/sys/fs/cgroup", source="cgroup2", type="cgroup2")
    )
    machine.tree.link("/sys/dev/block/8:0", "../../devices/pci0000:00/0000:00:02.0/virtio1/block/vda")
    return machine


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(source="debian", edition="debian", kube="kubernetes", paths=Paths(state=str(tmp_path)))


def results(machine: FakeMachine, site: Site) -> dict[str, CheckResult]:
    return {result.id: result for result in precheck(Options(site), FakeProbe(machine))}


def test_a_fresh_debian_passes_everything(machine: FakeMachine, site: Site) -> None:
    before = machine.snapshot()
    found = results(machine, site)
    assert {id: (r.status, r.detail) for id, r in found.items() if r.status != "passed"} == {}
    assert list(found) == [check.id for check in checks(site)]
    assert found["containerd"].detail == "1.6.20~ds1-1+deb12u1"
    assert machine.snapshot() == before


def test_a_machine_of_ours_may_be_installed_on(machine: FakeMachine, site: Site) -> None:
    """systemd-nspawn on a host with control groups of version 1: what is locked there forbids nothing."""
    tree = machine.tree
    tree.file("/run/systemd/container", "systemd-nspawn")
    tree.file("/proc/self/status", "Name:\tpython3\nUid:\t0\t0\t0\t0\nCapBnd:\t00000000fdecbfff\n")
    tree.unlink("/lib/modules/6.1.0-18-amd64/modules.dep")
    root = tree.mounts[0]
    tree.mounts[:] = [
        replace(root, source="overlay", type="overlay"),
        replace(root, point=site.paths.state, source="/dev/vda", type="ext4"),
        replace(root, point="/proc/sys", source="proc", type="proc", options="ro"),
        replace(root, point="/sys/fs/cgroup/unified", source="cgroup2", type="cgroup2"),
    ]
    tree.directory(site.paths.state)
    tree.mounts += [
        replace(root, point=f"/sys/fs/cgroup/{name}", source="cgroup", type="cgroup", options=f"rw,{name}")
        for name in ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids")
    ]
    tree.mounts += [replace(root, point=f"/proc/sys/{key.replace('.', '/')}", type="tmpfs") for key, _ in KUBELET_KEYS]
    found = results(machine, site)
    failed = {id: r.severity for id, r in found.items() if r.status == "failed"}
    assert failed == {"outer-limits": "info"}
    unasked = {id for id, r in found.items() if r.status == "not-run"}
    assert unasked <= {"netfilter-modules", "disk-kind", "disk-latency"}
    assert found["virtualisation"].detail == "a systemd-nspawn container; no hypervisor seen"
    assert found["cgroup-version"].detail == "version 1, which this Kubernetes takes"


def test_several_problems_are_found_at_once(machine: FakeMachine, site: Site) -> None:
    machine.free = 1 << 30
    machine.tree.file("/proc/meminfo", "MemTotal: 500000 kB\n")
    machine.tree.file("/usr/bin/dockerd", "docker")
    machine.tree.file("/proc/net/tcp", _listening(6443))
    machine.tree.file("/proc/812/comm", "nginx\n")
    machine.tree.directory("/proc/812/fd")
    machine.tree.put("/proc/812/fd/5", "link", mode=0o777, content=b"socket:[4711]")
    found = results(machine, site)
    failed = {id: r.detail for id, r in found.items() if r.status == "failed"}
    assert set(failed) == {"disk-free", "memory", "other-runtimes", "ports-free"}
    assert failed["ports-free"] == "ports we need are in use: 6443 by nginx (process 812)"


def _listening(port: int) -> str:
    return (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        f"   0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n"
    )


def test_a_held_lock_names_its_holder(machine: FakeMachine, site: Site) -> None:
    machine.tree.file("/var/lib/dpkg/lock-frontend", "")
    held = FakeProbe(machine).stat("/var/lib/dpkg/lock-frontend")
    assert held is not None
    major, minor = held.device >> 8 & 0xFFF, held.device & 0xFF
    machine.tree.file("/proc/locks", f"1: POSIX  ADVISORY  WRITE 812 {major:02x}:{minor:02x}:{held.inode} 0 EOF\n")
    machine.tree.file("/proc/812/comm", "apt-get\n")
    assert results(machine, site)["dpkg-lock"].detail == "apt-get (process 812) is installing packages now"


def test_what_cannot_be_read_is_not_passed(machine: FakeMachine, site: Site) -> None:
    for path in ("/proc/meminfo", "/proc/net/route"):
        machine.tree.unlink(path)
    machine.missing.add("apt-cache")
    found = results(machine, site)
    assert {id for id, r in found.items() if r.status == "not-run"} == {
        "memory",
        "address",
        "address-ranges",
        "default-routes",
        "containerd",
    }
    assert found["memory"].detail == "No such file or directory (/proc/meminfo)"
    assert "apt-cache" in found["containerd"].detail
    assert not found["memory"].advice


@dataclass(frozen=True, slots=True)
class Hanging:
    """A fact that answers when the test is over."""

    def load(self, probe: Probe) -> str | Unknown:
        probe.query(Query("ip", ("-j", "link", "show")))
        return "late"


@dataclass(frozen=True, slots=True)
class Slow(BaseCheck):
    id: ClassVar[str] = "slow"
    title: ClassVar[str] = "Slow"
    patience: ClassVar[float] = 0.05

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Hanging(),)

    def judge(self, facts: Facts) -> Verdict:
        return Passed(facts[Hanging()])


@dataclass(frozen=True, slots=True)
class Quick(BaseCheck):
    id: ClassVar[str] = "quick"
    title: ClassVar[str] = "Quick"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Hostname(),)

    def judge(self, facts: Facts) -> Verdict:
        return Passed(facts[Hostname()])


def test_a_check_that_hangs_holds_up_nobody(machine: FakeMachine) -> None:
    over = threading.Event()

    class Waiting(FakeProbe):
        def query(self, query: Query) -> Output:
            over.wait(10)
            return super().query(query)

    try:
        slow, quick = run((Slow(), Quick()), Waiting(machine), ours=frozenset(), journal="")
        assert (slow.status, slow.detail) == ("not-run", "this machine did not answer within 0.05 s")
        assert (quick.status, quick.detail) == ("passed", "node1")
    finally:
        over.set()


def test_whose_things_are_here_is_what_the_journal_says(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.sqlite")
    assert components_here(path) == frozenset()
    journal = Journal(path, mode="write")
    live, undone, cut_off = (
        journal.intend(
            journal.begin_run("install"),
            key=key,
            component=component,
            action=("put-file", 1, "{}"),
            inverse="a test",
            what="write",
            target=key,
        )
        for component, key in (
            ("etcd", "file:/a"),
            ("calico", "file:/b"),
            ("packages", "packages:containerd runc"),
        )
    )
    journal.complete(live)
    journal.mark([undone], "undone")
    journal.close()
    assert cut_off
    assert components_here(path) == frozenset({"etcd", "packages", "containerd", "runc"})
    Path(path).write_bytes(b"this is no database, and long enough to be seen as one" * 20)
    assert isinstance(components_here(path), Unknown)


def test_our_own_containerd_is_no_stranger(machine: FakeMachine, site: Site) -> None:
    machine.tree.file("/usr/bin/containerd", "containerd 1.6.20")
    probe = FakeProbe(machine)
    for ours, status in ((frozenset({"containerd"}), "passed"), (frozenset[str](), "failed")):
        found = run(checks(site), probe, ours=ours, journal=site.paths.journal)
        assert next(r.status for r in found if r.id == "other-runtimes") == status


def test_the_numbers_are_those_of_the_components() -> None:
    """The room a build reserves and the ports on the host stand in data files of others."""
    folder = ROOT / "installers/infrastructure/kubernetes"
    recipe = yaml.safe_load((folder / "build/recipe.yaml").read_text())
    assert recipe["disk"] * MIB == BUILDING
    assert f"{folder.relative_to(ROOT / 'installers')}/build-".replace("/", "-") == KUBERNETES
    for component in ("kubernetes", "etcd"):
        row = yaml.safe_load((ROOT / f"installers/infrastructure/{component}/component.yaml").read_text())
        assert set(row["ports"]) <= {port for port, name, _ in PORTS if name == component}


def test_with_a_bundle_nobody_asks_for_package_sources() -> None:
    usual, bundled, on_web = (
        {check.id for check in checks(Site(edition="debian", kube="kubernetes", source=source, publisher=publisher))}
        for source, publisher in (("debian", ""), ("bundle", ""), ("mirror", "sha256:" + "0" * 64))
    )
    assert on_web == bundled
    assert usual - bundled == {"package-sources", "proxmox-sources"}
    assert bundled < usual
