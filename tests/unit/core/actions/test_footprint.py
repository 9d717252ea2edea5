"""A footprint claimed on a machine that is not empty, filled by a process, and swept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from installers.core.actions import footprint as module
from installers.core.actions.footprint import ClaimFootprint, SweepFootprint, removal
from installers.core.facts.firewall import parse_save
from installers.core.model import DONE, Footprint, Left
from tests.fake import Call, FakeHost, FakeMachine, debian
from tests.fake.network import Link
from tests.fake.tree import Mount

FOOTPRINT = Footprint(
    trees=("/var/lib/kubelet", "/var/lib/cni"),
    contents=("/var/log/pods",),
    mounts=("/var/lib/kubelet",),
    links=("cni0", "veth*"),
    netns=("cni-*",),
    chains=("KUBE-", "CNI-"),
    ipsets=("KUBE-",),
    cgroups=("kubepods*",),
    sysctls=("vm.overcommit_memory", "kernel.panic"),
    modules=("nf_*", "nft_*", "xt_*"),
)
PODS = "/sys/fs/cgroup/memory/kubepods"


def kill(machine: FakeMachine, call: Call) -> Iterator[None]:
    """Ends what is named, if it listens to that signal."""
    for group in (PODS, f"{PODS}/burstable"):
        path = f"{group}/cgroup.procs"
        if machine.tree.exists(path):
            pids = machine.tree.read(path).decode().split()
            left = [
                pid
                for pid in pids
                if pid not in call.argv or pid in machine.busy_mounts or (pid == "77" and "TERM" in call.argv)
            ]
            machine.tree.file(path, "".join(f"{pid}\n" for pid in left))
            if not left:
                machine.tree.unlink(path)
    yield


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    machine = debian()
    machine.commands[("kill",)] = kill
    machine.tree.mounts.append(Mount("/sys/fs/cgroup/memory", "cgroup", "cgroup", "rw,memory"))
    for path in ("/var/lib/kubelet/mine", "/var/log/pods/older/0.log", "/sys/fs/cgroup/memory/tasks", "/var/lib/cnix"):
        machine.tree.file(path, "")
    machine.network.links["vethlab"] = Link("vethlab", "veth")
    nat = machine.network.v4.table("nat")
    nat["KUBE-MINE"] = ["-j RETURN"]
    nat["POSTROUTING"].append("-j KUBE-MINE")
    ticks = iter(range(100000))
    monkeypatch.setattr(module, "monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr(module, "sleep", lambda seconds: None)
    return machine


def run_pods(machine: FakeMachine) -> None:
    """What kubelet, kube-proxy and a CNI plugin leave."""
    tree, network = machine.tree, machine.network
    tree.file("/var/lib/kubelet/pods/p/volumes/token/ca.crt", "")
    tree.mounts.append(Mount("/var/lib/kubelet/pods/p/volumes/token", "tmpfs", "tmpfs", "rw"))
    tree.file("/var/lib/cni/results/x", "")
    tree.file("/var/log/pods/newer/0.log", "")
    network.links["cni0"] = Link("cni0", "bridge", True)
    network.links["veth97"] = Link("veth97", "veth", True)
    network.netns += ["cni-1", "lab"]
    network.ipsets += ["KUBE-LOOP-BACK", "other"]
    for wall, table in ((network.v4, "nat"), (network.v4, "filter"), (network.v6, "filter")):
        chains = wall.table(table)
        chains["KUBE-SERVICES"] = ['-d 10.96.0.1/32 -m comment --comment "a b" -j KUBE-SVC-1']
        chains["KUBE-SVC-1"] = ["-j RETURN"]
        chains["OUTPUT"] += ['-m comment --comment "kubernetes service portals" -j KUBE-SERVICES', "-o lab0 -j ACCEPT"]
    for group in (PODS, f"{PODS}/burstable"):
        tree.file(f"{group}/cgroup.procs", "42\n77\n")
    tree.file("/proc/sys/vm/overcommit_memory", "1\n")
    tree.file("/proc/sys/kernel/panic", "10\n")


def claimed(machine: FakeMachine) -> SweepFootprint:
    claim = ClaimFootprint("unit:kubelet.service", FOOTPRINT)
    assert claim.target == "footprint:unit:kubelet.service"
    sweep = claim.inverse(FakeHost(machine))
    assert isinstance(sweep, SweepFootprint)
    assert claim.execute(FakeHost(machine)) == DONE
    return sweep


def state(machine: FakeMachine) -> tuple[object, ...]:
    network, tree = machine.network, machine.tree
    files = sorted(path for path, node in tree.nodes.items() if node.type != "dir")
    walls = [
        {t: {c: [*r] for c, r in chains.items()} for t, chains in w.tables.items()} for w in (network.v4, network.v6)
    ]
    sysctls = [tree.read(f"/proc/sys/{name}") for name in ("vm/overcommit_memory", "kernel/panic")]
    return files, walls, sorted(network.links), sysctls, [mount.point for mount in tree.mounts]


def test_swept_to_what_was_there(machine: FakeMachine) -> None:
    machine.network.v4.table("filter")["OUTPUT"].append("-o lab0 -j ACCEPT")
    machine.network.v6.table("filter")["OUTPUT"].append("-o lab0 -j ACCEPT")
    machine.network.v4.table("nat")["OUTPUT"].append("-o lab0 -j ACCEPT")
    before = state(machine)
    sweep = claimed(machine)
    run_pods(machine)
    for wall, table in ((machine.network.v4, "nat"), (machine.network.v4, "filter"), (machine.network.v6, "filter")):
        wall.table(table)["OUTPUT"].pop()
    host = FakeHost(machine)
    for _ in range(2):
        assert sweep.execute(host) == DONE
        assert state(machine) == before
    assert machine.network.netns == ["lab"]
    assert machine.network.ipsets == ["other"]
    assert host.stat(PODS) is None
    assert host.stat("/var/lib/cni") is None
    assert host.listdir("/var/lib/kubelet") == ("mine",)
    assert host.listdir("/var/log/pods") == ("older",)


def test_shims_in_the_group_of_a_stopped_unit_are_ended(machine: FakeMachine) -> None:
    """KillMode=process leaves them there; one of them does not listen to SIGTERM. Another unit's group stays."""
    unit = "/sys/fs/cgroup/memory/system.slice/k3s.service"
    other = "/sys/fs/cgroup/memory/system.slice/ssh.service/cgroup.procs"
    machine.tree.file(other, "42\n")

    def kill(machine: FakeMachine, call: Call) -> Iterator[None]:
        pids = machine.tree.text(f"{unit}/cgroup.procs").split()
        left = [pid for pid in pids if pid not in call.argv or (pid == "77" and "TERM" in call.argv)]
        machine.tree.file(f"{unit}/cgroup.procs", "".join(f"{pid}\n" for pid in left))
        if not left:
            machine.tree.unlink(f"{unit}/cgroup.procs")
        yield

    machine.commands[("kill",)] = kill
    claim = ClaimFootprint("unit:k3s.service", Footprint(cgroups=("system.slice/k3s.service",)))
    sweep = claim.inverse(FakeHost(machine))
    assert isinstance(sweep, SweepFootprint)
    machine.tree.file(f"{unit}/cgroup.procs", "76\n77\n")
    assert sweep.execute(FakeHost(machine)) == DONE
    assert not machine.tree.exists(unit)
    assert machine.tree.text(other) == "42\n"


def test_slices_are_stopped_as_units(machine: FakeMachine) -> None:
    stopped: list[str] = []

    def systemctl(machine: FakeMachine, call: Call) -> Iterator[None]:
        stopped.append(" ".join(call.argv[1:]))
        machine.tree.unlink("/sys/fs/cgroup/memory/kubepods.slice/cgroup.procs")
        yield

    machine.commands[("systemctl",)] = systemctl
    sweep = claimed(machine)
    machine.tree.file("/sys/fs/cgroup/memory/kubepods.slice/cgroup.procs", "")
    assert sweep.execute(FakeHost(machine)) == DONE
    assert stopped == ["stop kubepods.slice"]


def test_modules_go_with_their_last_user(machine: FakeMachine) -> None:
    kernel = machine.kernel
    machine.tree.file("/usr/sbin/rmmod", "")
    kernel.needs = {"xt_MASQUERADE": ("nf_nat",), "nf_nat": ("nf_conntrack",), "xt_mine": ("nf_tables",)}
    kernel.insert("nf_conntrack")
    sweep = claimed(machine)
    for name in ("xt_MASQUERADE", "xt_mine", "veth"):
        kernel.insert(name)
    kernel.busy.add("xt_mine")  # somebody's rule
    assert sweep.execute(FakeHost(machine)) == DONE
    assert set(kernel.loaded) == {"nf_conntrack", "xt_mine", "nf_tables", "veth"}


def test_nothing_started_nothing_swept(machine: FakeMachine) -> None:
    sweep = claimed(machine)
    before = state(machine)
    assert sweep.execute(FakeHost(machine)) == DONE
    assert state(machine) == before


def test_a_mount_in_use_keeps_its_tree(machine: FakeMachine) -> None:
    sweep = claimed(machine)
    run_pods(machine)
    point = "/var/lib/kubelet/pods/p/volumes/token"
    machine.busy_mounts.add(point)
    outcome = sweep.execute(FakeHost(machine))
    assert isinstance(outcome, Left)
    assert outcome.what == f"{point}, /var/lib/kubelet/pods"
    assert machine.tree.exists(f"{point}/ca.crt")
    assert not machine.tree.exists("/var/lib/cni")
    machine.busy_mounts.clear()
    assert sweep.execute(FakeHost(machine)) == DONE


def test_processes_that_do_not_end_are_named(machine: FakeMachine) -> None:
    sweep = claimed(machine)
    run_pods(machine)
    machine.busy_mounts.add("42")
    outcome = sweep.execute(FakeHost(machine))
    assert isinstance(outcome, Left)
    assert outcome == Left(PODS, "processes 42 do not end")


def test_removal_is_text_for_one_restore() -> None:
    save = """*nat
:OUTPUT ACCEPT [0:0]
:KUBE-A - [0:0]
:KUBE-B - [0:0]
-A OUTPUT -m comment --comment "x -j KUBE-A" -j LOG
-A OUTPUT -m comment --comment "a \\"b\\"" -g KUBE-A
-A KUBE-A -j KUBE-B
COMMIT
*filter
:INPUT ACCEPT [0:0]
COMMIT
"""
    assert removal(parse_save(save), [("nat", "KUBE-A"), ("nat", "KUBE-B")]).splitlines() == [
        "*nat",
        '-D OUTPUT -m comment --comment "a \\"b\\"" -g KUBE-A',
        "-F KUBE-A",
        "-F KUBE-B",
        "-X KUBE-A",
        "-X KUBE-B",
        "COMMIT",
    ]
