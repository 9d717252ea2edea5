"""The engine K3s on a host: planned, installed, run a second time, taken back, with a stand-in of the tests for K3s."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from installers.core.errors import Failure
from installers.core.model import Step
from installers.install import Options, _steps, resolve
from installers.site import K3s, Site
from tests.fake import FakeMachine, FakeProbe, differences
from tests.fake.k3s import DATA, HOME, PODS, SHIMS, WRITES, upstream_host
from tests.fake.todays_kubernetes import stand_ins
from tests.unit.core.engine.debian_install import Relentless, half_done, unlike
from tests.unit.core.engine.test_debian12 import KEPT
from tests.unit.core.engine.workbench import Workbench

SECRETS = ("/var/lib/olares/secrets/k3s/token", "/var/lib/olares/secrets/k3s/agent-token")
GROUP = "/sys/fs/cgroup/system.slice/k3s.service/cgroup.procs"


@pytest.fixture(autouse=True)
def _releases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fetched is a few bytes with a digest of their own."""
    for module in ("artifacts.releases", "component.steps"):
        monkeypatch.setattr(f"installers.core.{module}.upstream", stand_ins)


def steps(site: Site | None = None) -> list[Step]:
    """Every component of a fresh host, as ``install.py`` makes steps of them."""
    probe = FakeProbe(upstream_host())
    resolved = resolve(site or Site(), probe)
    return _steps(Options(resolved), resolved, probe)


@pytest.fixture
def bench(tmp_path: Path, hasty: None) -> Workbench:
    return Workbench(tmp_path, machine=upstream_host())


def installed(bench: Workbench) -> FakeMachine:
    result = bench.install(steps())
    assert result.status == "done", result.failure
    return bench.machine


def left_behind(before: dict[str, object], machine: FakeMachine) -> list[str]:
    lines = differences(before, machine.snapshot(*KEPT))
    return [line for line in lines if line != "+ path /var/lib/olares"]


def test_a_host_takes_upstream_releases_and_k3s() -> None:
    lock = json.loads(next(s.resource.content for s in steps() if s.resource.key.endswith("/site.lock")))  # type: ignore[attr-defined]
    assert (lock["source"], lock["edition"], lock["kube"]) == ("upstream", "upstream", "k3s")
    assert lock["k3s"] == {"datastore": "embedded", "runtime": "own"}
    names = {step.component for step in steps()}
    assert {"installation", "kernel", "k3s"} <= names
    assert not names & {"containerd", "etcd", "calico", "kubernetes", "coredns", "storage", "packages"}


def test_it_is_planned_whole_and_installed(bench: Workbench) -> None:
    plan = bench.plan(steps())
    assert plan.blocked() == ()
    assert [item.step.component for item in plan.deferred()] == ["kernel"], "every file's digest is known beforehand"
    machine = installed(bench)
    assert machine.units.stale() == {}
    assert machine.units.starts["k3s.service"] == 1
    assert machine.units.file_state("k3s.service") == "enabled"
    assert machine.tree.get(f"{HOME}/token", follow=True).mode == 0o600
    assert machine.cluster.objects[("storage.k8s.io/v1", "StorageClass", "", "local")]["reclaimPolicy"] == "Retain"


def test_a_second_install_changes_nothing(bench: Workbench) -> None:
    before = installed(bench).snapshot()
    result = bench.install(steps())
    assert (result.status, result.changes) == ("done", 0)
    assert differences(before, bench.machine.snapshot()) == []


CHOICES = [
    K3s(datastore="etcd"),
    K3s(runtime="shared"),
    K3s(datastore="etcd", runtime="shared"),
]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_is_installed_once_and_leaves_nothing(bench: Workbench, choice: K3s) -> None:
    before = bench.machine.snapshot()
    wanted = steps(Site(k3s=choice))
    assert {"etcd", "containerd", "calico"} & {step.component for step in wanted} == choice.outside
    result = bench.install(wanted)
    assert result.status == "done", result.failure
    assert bench.machine.units.stale() == {}
    assert bench.install(wanted).changes == 0
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    assert left_behind(before, bench.machine) == []
    assert not [path for path in bench.machine.tree.nodes if path.endswith(".service/cgroup.procs")]


def test_tokens_are_nowhere_but_in_their_files(bench: Workbench) -> None:
    machine = installed(bench)
    token = machine.tree.text(f"{HOME}/token")
    holders = {path for path, node in machine.tree.nodes.items() if token.encode() in node.content}
    assert holders == {f"{HOME}/token", "/var/lib/olares/secrets/k3s/token"}
    assert token not in bench.journal_text()


def test_uninstall_leaves_the_machine_as_it_was_and_the_data(bench: Workbench) -> None:
    before = bench.machine.snapshot()
    machine = installed(bench)
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    assert left_behind(before, machine) == []
    assert half_done(machine) == []
    assert not machine.tree.exists(GROUP)
    assert machine.tree.text("/var/lib/olares/volumes/os-platform/data/file") == "the user's\n"


def test_shims_of_a_service_somebody_stopped_are_ended_too(bench: Workbench) -> None:
    before = bench.machine.snapshot()
    machine = installed(bench)
    machine.units.stop("k3s.service")
    assert machine.tree.text(GROUP).split() == [str(pid) for pid in SHIMS]
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    assert left_behind(before, machine) == []
    assert not machine.tree.exists(GROUP)
    assert not machine.tree.exists(PODS)


def test_what_was_there_before_stays(bench: Workbench) -> None:
    """Somebody's files in directories that K3s uses too."""
    bench.machine.tree.file("/etc/rancher/notes", "theirs\n")
    bench.machine.tree.file("/var/lib/cni/networks/theirs/10.9.0.2", "theirs\n")
    before = bench.machine.snapshot()
    installed(bench)
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    assert left_behind(before, bench.machine) == []


@pytest.mark.timeout(60)
def test_cut_off_anywhere_it_ends_the_same(bench: Workbench, tmp_path: Path) -> None:
    """At each mutation of every action, by turns before, inside and after it; then the uninstall in the same way."""
    before = bench.machine.snapshot()
    undisturbed = Workbench(tmp_path / "undisturbed", machine=upstream_host())
    Path(undisturbed.path).parent.mkdir(parents=True)
    wanted = installed(undisturbed).snapshot()
    relentless = Relentless(bench, ("before", "inside", "after"))
    result = relentless.through(lambda: bench.install(steps()))
    assert result.status == "done", result.failure
    assert [line for line in unlike(wanted, bench.machine) if not generated(line)] == []
    assert bench.install(steps()).changes == 0
    result = Relentless(bench, ("before", "inside", "after")).through(bench.uninstall)
    assert (result.status, result.left) == ("done", ())
    assert left_behind(before, bench.machine) == []
    assert len(relentless.crashes) > 40


def generated(line: str) -> bool:
    """A line about what K3s or we make anew in every install, beside what the other engine's data file names."""
    path = line.removeprefix("~ path ").partition(":")[0]
    return line.startswith("~ ") and path in {*WRITES, f"{HOME}/token", f"{HOME}/agent-token", *SECRETS}


def test_a_changed_configuration_restarts_it_once(bench: Workbench) -> None:
    machine = installed(bench)
    machine.tree.file(f"{HOME}/config.yaml", "token: theirs\n", mode=0o600)
    result = bench.install(steps())
    assert result.status == "done"
    assert machine.units.starts["k3s.service"] == 2
    assert machine.units.stale() == {}


def test_another_archive_of_images_is_put_right_without_a_restart(bench: Workbench) -> None:
    """It is read at a start only, and the images in it are there already."""
    machine = installed(bench)
    (archive,) = [name for name in machine.tree.names(f"{DATA}/agent/images") if name.endswith(".tar.zst")]
    machine.tree.file(f"{DATA}/agent/images/{archive}", "torn")
    result = bench.install(steps())
    assert (result.status, machine.units.starts["k3s.service"]) == ("done", 1)


@pytest.mark.parametrize("version", ["1.36.4+k3s1", "v1.36.4+k3s1"])
def test_the_pinned_version_can_be_asked_for(version: str) -> None:
    assert len(steps(Site(k3s=K3s(version=version)))) == len(steps())


def test_another_version_is_refused_before_anything_changes(bench: Workbench) -> None:
    before = bench.machine.snapshot()
    with pytest.raises(Failure, match="OLR-KUBE-004") as caught:
        bench.install(steps(Site(k3s=K3s(version="1.99.0+k3s1"))))
    assert caught.value.fields == {"version": "1.99.0+k3s1", "known": "1.36.4+k3s1"}
    assert differences(before, bench.machine.snapshot()) == []
