"""The fake is the ground that engine tests stand on: what it does must be what a machine does."""

from __future__ import annotations

from typing import Any

import pytest

from installers.core.errors import Failure
from installers.core.host.files import temporary_name
from installers.core.model import ClusterAbsent, Host, Kind, Probe, Query, Ref
from tests.fake import Crash, FakeHost, FakeMachine, FakeProbe, debian, differences
from tests.fake.crash import When
from tests.fake.tree import Mount

CONFIG = Kind("v1", "ConfigMap", "configmaps")
INSTALL = ("apt-get", "-y", "install", "etcd-server", "socat")


@pytest.fixture
def machine() -> FakeMachine:
    return debian()


@pytest.fixture
def host(machine: FakeMachine) -> FakeHost:
    return FakeHost(machine)


def test_it_has_both_faces(machine: FakeMachine) -> None:
    probe: Probe = FakeProbe(machine)
    host: Host = FakeHost(machine)
    assert probe.read("/etc/hostname") == host.read("/etc/hostname") == b"node1\n"
    assert not {"write", "run", "remove", "apply_object"} & set(dir(FakeProbe))


@pytest.mark.parametrize(
    ("when", "content", "temporary"), [("before", b"old", False), ("inside", b"old", True), ("after", b"new", False)]
)
def test_a_write_is_whole_at_every_crash(host: FakeHost, when: When, content: bytes, temporary: bool) -> None:
    host.write("/etc/a", b"old")
    host.machine.crash_at(1, when)
    with pytest.raises(Crash):
        host.write("/etc/a", b"new")
    host.machine.crash.disarm()
    assert host.read("/etc/a") == content
    assert (host.stat(temporary_name("/etc/a")) is not None) == temporary


def test_a_crashed_apt_blocks_the_next_until_dpkg_is_repaired(host: FakeHost) -> None:
    host.run(INSTALL, timeout=1)
    (_, moments) = host.machine.crash.log[-1]
    blocked = 0
    for step in range(1, moments + 1):
        again = FakeHost(debian())
        again.machine.crash_at(1, "inside", step=step)
        with pytest.raises(Crash):
            again.run(INSTALL, timeout=1)
        again.machine.crash.disarm()
        if again.machine.dpkg.broken():
            blocked += 1
            assert again.run(INSTALL, timeout=1, ok=(100,)).code == 100
            again.run(("dpkg", "--configure", "-a"), timeout=1, ok=(0, 1))
            again.run(("apt-get", "-y", "-f", "install"), timeout=1)
        again.run(INSTALL, timeout=1)
        assert differences(host.machine.snapshot(), again.machine.snapshot()) == []
    assert blocked >= 4


def test_install_and_purge_leave_only_the_archives(host: FakeHost) -> None:
    before = host.machine.snapshot("/var/cache/apt/archives/*")
    host.run(INSTALL, timeout=1)
    assert "etcd.service" in host.machine.units.running
    assert b"etcd:x:" in host.read("/etc/passwd")
    host.run(("apt-get", "-y", "purge", "etcd-server", "socat", "libwrap0"), timeout=1)
    assert differences(before, host.machine.snapshot("/var/cache/apt/archives/*")) == []


def test_policy_rc_d_keeps_services_from_starting(host: FakeHost) -> None:
    host.write("/usr/sbin/policy-rc.d", b"#!/bin/sh\nexit 101\n", mode=0o755)
    host.run(INSTALL, timeout=1)
    assert host.machine.units.running == {}
    assert host.machine.units.file_state("etcd.service") == "enabled"


def test_a_missed_restart_shows(host: FakeHost) -> None:
    host.run(("apt-get", "install", "containerd"), timeout=1)
    host.mkdir("/etc/containerd")
    host.write("/etc/containerd/config.toml", b"version = 2\n")
    assert host.machine.units.stale() == {"containerd.service": ["/etc/containerd/config.toml"]}
    host.run(("systemctl", "restart", "containerd"), timeout=1)
    assert host.machine.units.stale() == {}


def test_a_changed_unit_file_needs_reload_and_restart(host: FakeHost) -> None:
    host.run(("apt-get", "install", "containerd"), timeout=1)
    host.mkdir("/etc/systemd/system/containerd.service.d")
    host.write("/etc/systemd/system/containerd.service.d/a.conf", b"[Service]\nNice=5\n")
    assert _show(host, "containerd.service")["NeedDaemonReload"] == "yes"
    host.run(("systemctl", "restart", "containerd"), timeout=1)
    assert host.machine.units.stale(), "restarted with the definition from before"
    host.run(("systemctl", "daemon-reload"), timeout=1)
    host.run(("systemctl", "restart", "containerd"), timeout=1)
    assert host.machine.units.stale() == {}
    assert _show(host, "containerd.service")["NeedDaemonReload"] == "no"


def _show(host: FakeHost, unit: str) -> dict[str, str]:
    text = host.query(Query("systemctl", ("show", unit))).stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def test_units_in_systemds_words(host: FakeHost) -> None:
    absent = _show(host, "no.service")
    assert (absent["LoadState"], absent["ActiveState"], absent["UnitFileState"]) == ("not-found", "inactive", "")
    host.run(INSTALL, timeout=1)
    there = _show(host, "etcd.service")
    assert (there["LoadState"], there["ActiveState"], there["UnitFileState"]) == ("loaded", "active", "enabled")
    assert host.read(f"/sys/fs/cgroup{there['ControlGroup']}/cgroup.procs").decode().strip() == there["MainPID"]
    host.run(("systemctl", "disable", "--now", "etcd.service"), timeout=1)
    assert _show(host, "etcd.service")["UnitFileState"] == "disabled"
    with pytest.raises(Failure, match="not found"):
        host.run(("systemctl", "start", "no.service"), timeout=1)


def test_a_tree_with_a_mount_stays_whole(host: FakeHost) -> None:
    host.mkdir("/srv/a")
    host.write("/srv/a/file", b"x")
    host.machine.tree.mounts.append(Mount("/srv/a", "/dev/vdb", "ext4"))
    with pytest.raises(Failure) as failure:
        host.remove_tree("/srv")
    assert failure.value.id == "OLR-HOST-006"
    assert host.read("/srv/a/file") == b"x"


def test_iptables_refuses_what_iptables_refuses(host: FakeHost) -> None:
    host.run(("iptables", "-t", "nat", "-N", "KUBE-SERVICES"), timeout=1)
    host.run(("iptables", "-w", "20", "-t", "nat", "-A", "PREROUTING", "-j", "KUBE-SERVICES"), timeout=1)
    saved = host.query(Query("iptables-save")).stdout
    assert ":KUBE-SERVICES - [0:0]\n" in saved
    assert "-A PREROUTING -j KUBE-SERVICES\n" in saved
    for argv in (("-N", "KUBE-SERVICES"), ("-X", "KUBE-SERVICES"), ("-F", "NONE")):
        assert host.run(("iptables", "-t", "nat", *argv), timeout=1, ok=(1,)).code == 1
    host.run(("iptables", "-t", "nat", "-D", "PREROUTING", "-j", "KUBE-SERVICES"), timeout=1)
    host.run(("iptables", "-t", "nat", "-X", "KUBE-SERVICES"), timeout=1)
    assert differences(debian().snapshot(), host.machine.snapshot()) == []


def _map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": data}


def test_objects_are_absent_only_when_the_api_answers(host: FakeHost) -> None:
    with pytest.raises(ClusterAbsent):
        host.objects(CONFIG)
    host.machine.cluster.up = True
    assert host.objects(CONFIG) == ()


def test_apply_owns_what_it_names_and_drops_what_it_no_longer_names(host: FakeHost) -> None:
    host.machine.cluster.up = True
    first = host.apply_object(_map(a="1", b="1"))
    ref = Ref(CONFIG, "a", "n")
    host.machine.cluster.edit(ref, lambda live: live["data"].update(b="2", c="3"))
    second = host.apply_object(_map(a="1"))
    assert second["data"] == {"a": "1", "b": "2", "c": "3"}, "b and c are somebody else's now"
    third = host.apply_object(_map(a="1", b="9"))
    assert third["data"] == {"a": "1", "b": "9", "c": "3"}
    assert host.apply_object(_map(b="9"))["data"] == {"b": "9", "c": "3"}
    fields = {m["manager"]: m["fieldsV1"] for m in host.objects(CONFIG)[0]["metadata"]["managedFields"]}
    assert fields == {"kubectl-edit": {"f:data": {"f:c": {}}}, "olares": {"f:data": {"f:b": {}}}}
    assert first["metadata"]["uid"] == third["metadata"]["uid"]


def test_applying_the_same_again_changes_nothing(host: FakeHost) -> None:
    host.machine.cluster.up = True
    assert host.apply_object(_map(a="1")) == host.apply_object(_map(a="1"))


def test_deleting_needs_the_uid(host: FakeHost) -> None:
    host.machine.cluster.up = True
    uid = host.apply_object(_map(a="1"))["metadata"]["uid"]
    host.delete_object(Ref(CONFIG, "a", "n"), "another")
    assert len(host.objects(CONFIG)) == 1
    host.delete_object(Ref(CONFIG, "a", "n"), uid)
    host.delete_object(Ref(CONFIG, "a", "n"), uid)
    assert host.objects(CONFIG) == ()


def test_a_program_that_is_not_there(host: FakeHost) -> None:
    with pytest.raises(Failure) as failure:
        host.run(("frobnicate",), timeout=1)
    assert failure.value.id == "OLR-HOST-003"
    with pytest.raises(ValueError, match="query"):
        host.query(Query("frobnicate"))
