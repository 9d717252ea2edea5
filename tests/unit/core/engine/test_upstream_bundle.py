"""The edition upstream out of a bundle, both engines: made from a warm cache, installed where no registry answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

# Now and not in a test: a library it brings along tries out a socket when it is imported.
import installers.core.artifacts.depot.client  # noqa: F401
from installers import bundle
from installers.bundle import Made, Order, create
from installers.choice import choose, components
from installers.core.artifacts.cache import Cache
from installers.core.artifacts.depot.open import Depot, nothing
from installers.core.artifacts.oci.archive import index, write
from installers.core.artifacts.oci.documents import MANIFEST, Descriptor
from installers.core.artifacts.oci.planned import served
from installers.core.artifacts.recipes import IMAGE
from installers.core.artifacts.reference import is_pinned, names, parts, without_tag
from installers.core.component.values import Platform
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built as Record
from installers.core.facts.artifacts import BuiltFile
from installers.core.model import Blocked, Change, Step
from installers.core.resources.artifacts import Fetched
from installers.install import Options, _planned, _steps, component_steps, resolve
from installers.opening import opened
from installers.site import K3s, Paths, Site
from tests.fake import FakeMachine, FakeProbe, differences
from tests.fake.k3s import DATA, upstream_host
from tests.fake.todays_kubernetes import content, stand_ins, upstream_server
from tests.unit.core.engine.debian_install import Relentless, half_done
from tests.unit.core.engine.test_debian12 import KEPT, WHENS, FirstOfKind
from tests.unit.core.engine.workbench import Workbench

MACHINES: dict[str, Callable[[], FakeMachine]] = {"kubernetes": upstream_server, "k3s": upstream_host}
ENGINES = list(MACHINES)
PLATFORM = Platform("bookworm", "amd64")
PROGRAMS = ("conntrack", "ethtool", "iptables", "nft", "socat")


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("artifacts.releases", "component.steps"):
        monkeypatch.setattr(f"installers.core.{module}.upstream", stand_ins)
    monkeypatch.setattr(bundle, "digest_served", lambda reference, registries: served_now(reference))


def served_now(reference: str) -> str:
    """What a registry would say a tag means."""
    return f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"


def machine(engine: str) -> FakeMachine:
    """The server with every program it has to bring itself, and nobody who serves images."""
    made = MACHINES[engine]()
    for name in PROGRAMS:
        made.tree.file(f"/usr/sbin/{name}", "", mode=0o755)
    made.registries = False
    return made


def references(site: Site) -> list[str]:
    return [image for one in components(site) for image in one.edition.references.values()]


def warm(site: Site, arch: str) -> None:
    """Everything in the cache: the tests' stand-ins for releases, and an archive for each image."""
    cache = Cache(Path(site.paths.cache), Path(site.paths.built))
    for step in component_steps(site, Platform("bookworm", arch)):
        if isinstance(step.resource, Fetched):
            path = cache.root / step.resource.pin.entry
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(step.resource.pin.name))
    for reference in references(site):
        planned = served(reference, parts(reference).digest or served_now(reference), arch)
        path = cache.root / cache.folder(planned.name, planned.key) / IMAGE
        path.parent.mkdir(parents=True)
        manifest = Descriptor(MANIFEST, served_now(f"manifest of {reference}"), 2)
        write(path, index(manifest, arch, names(reference)), ())
        file = BuiltFile(IMAGE, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, manifest.digest)
        cache.record(Record(planned.name, planned.key, (file,), 1.0, 2.0))


def made(tmp_path: Path, engine: str, *, accept_tags: bool = True, fill: bool = True, arch: str = "") -> Made:
    paths = Paths(state=str(tmp_path / "state"), cache=str(tmp_path / "cache"))
    probe = FakeProbe(machine(engine))
    site = choose(Site(source="upstream", kube=engine, paths=paths), probe)
    if fill:
        warm(site, arch or PLATFORM.arch)
    order = Order(site, tmp_path / "stick", tmp_path / "keys", accept_tags=accept_tags, architecture=arch)
    return create(order, probe, lambda event: None)


def on_host(bundle: Made, where: FakeMachine, tmp_path: Path) -> tuple[Site, Depot]:
    """The bundle as a host opens it, its files on the fake machine."""
    paths = Paths(state=str(tmp_path / "there"), cache=str(tmp_path / "there/cache"))
    probe = FakeProbe(where)
    asked = Site(source="bundle", places=(str(bundle.output),), paths=paths)
    site, depot = opened(asked, probe, trust=bundle.fingerprint, report=nothing)
    assert depot is not None
    for path in depot.targets:
        where.tree.file(f"{depot.folder}/{path}", (depot.folder / path).read_bytes())
    return resolve(replace(site, paths=Paths()), probe), depot


def steps(site: Site, depot: Depot, where: FakeMachine) -> list[Step]:
    return _steps(Options(site), site, FakeProbe(where), depot)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bench(engine: str, tmp_path: Path, hasty: None) -> Workbench:
    (tmp_path / "bench").mkdir()
    return Workbench(tmp_path / "bench", machine=machine(engine))


@pytest.fixture
def wanted(engine: str, bench: Workbench, tmp_path: Path) -> list[Step]:
    found = made(tmp_path, engine)
    return steps(*on_host(found, bench.machine, tmp_path), bench.machine)


def test_images_without_a_digest_are_named_and_refused(engine: str, tmp_path: Path) -> None:
    with pytest.raises(Failure) as found:
        made(tmp_path, engine, accept_tags=False, fill=False)
    assert found.value.id == "OLR-BND-022"
    assert "kvrocks:2.17.0" in found.value.what
    assert "--accept-tags" in found.value.next
    assert "@sha256" not in found.value.what
    assert not (tmp_path / "stick").exists()


def test_one_for_k3s_on_the_hosts_containerd_is_not_made(tmp_path: Path) -> None:
    site = Site(source="upstream", kube="k3s", k3s=K3s(runtime="shared"))
    with pytest.raises(Failure, match="OLR-KUBE-005"):
        create(Order(site, tmp_path / "stick", tmp_path / "keys"), FakeProbe(machine("k3s")), lambda event: None)
    assert list(tmp_path.iterdir()) == []


def test_the_contents_name_every_image_with_its_digest(engine: str, tmp_path: Path) -> None:
    found = made(tmp_path, engine)
    site = Site(source="upstream", edition="upstream", kube=engine)
    assert [row.reference for row in found.contents.images] == references(site)
    for row in found.contents.images:
        assert row.digest == (parts(row.reference).digest or served_now(row.reference))
        assert row.manifest == served_now(f"manifest of {row.reference}")
        assert row.by_tag != is_pinned(row.reference)
    by_tag = {row.reference.rpartition("/")[2].partition(":")[0] for row in found.contents.images if row.by_tag}
    control_plane = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"}
    assert by_tag == {"kvrocks"} | (control_plane if engine == "kubernetes" else set())
    assert found.contents.family == "", "nothing of it hangs on a distribution"


def test_one_for_another_architecture_holds_that_one_s_files(engine: str, tmp_path: Path) -> None:
    found = made(tmp_path, engine, arch="arm64")
    assert found.contents.architecture == "arm64"
    files = [path.name for path in found.output.rglob("*") if path.is_file()]
    program = "k3s-arm64" if engine == "k3s" else "runc.arm64"
    assert any(name.endswith(program) for name in files)
    assert not any("amd64" in name for name in files)
    with pytest.raises(Failure, match="OLR-BND-011"):
        on_host(found, machine(engine), tmp_path)


def test_it_is_planned_whole_and_asks_nobody(engine: str, bench: Workbench, wanted: list[Step]) -> None:
    plan = bench.plan(wanted)
    assert plan.blocked() == ()
    kinds = {a.kind for item in plan.items if isinstance(item.decision, Change) for a in item.decision.actions}
    assert not kinds & {"fetch-artifact", "build-recipe"}
    assert ("import-image" in kinds) == (engine == "kubernetes")
    assert not any("config images pull" in str(item.decision) for item in plan.items)


def test_it_is_installed_without_a_registry_and_leaves_nothing(
    engine: str, bench: Workbench, wanted: list[Step]
) -> None:
    before = bench.machine.snapshot()
    result = bench.install(wanted)
    assert result.status == "done", result.failure
    assert bench.machine.units.stale() == {}
    images = references(Site(source="upstream", edition="upstream", kube=engine))
    assert {name for image in images for name in names(image)} <= bench.machine.images.keys()
    assert bench.plan(wanted).changes() == ()
    result = bench.install(wanted)
    assert (result.status, result.changes) == ("done", 0)
    result = bench.uninstall()
    assert (result.status, result.left) == ("done", ())
    lines = differences(before, bench.machine.snapshot(*KEPT))
    assert [line for line in lines if line != "+ path /var/lib/olares"] == []


@pytest.mark.timeout(60)
def test_an_install_cut_off_again_and_again_comes_through(bench: Workbench, wanted: list[Step]) -> None:
    result = Relentless(bench, WHENS, FirstOfKind(2, {})).through(lambda: bench.install(wanted))
    assert result.status == "done", result.failure
    assert bench.install(wanted).changes == 0
    assert half_done(bench.machine) == []


def test_every_image_is_there_before_what_runs_it(engine: str, wanted: list[Step]) -> None:
    after = {step.resource.key: step.after for step in wanted}

    def before(key: str) -> set[str]:
        found: set[str] = set()
        todo = [key]
        while todo:
            new = after[todo.pop()] - found
            found |= new
            todo += new
        return found

    unit = "unit:k3s.service" if engine == "k3s" else "unit:kubelet.service"
    assert unit in after
    if engine == "k3s":
        laid = {key for key in after if key.startswith(f"file:{DATA}/agent/images/olares-")}
        assert len(laid) == len(references(Site(source="upstream", edition="upstream", kube=engine)))
        assert laid <= before(unit)
    else:
        needed = {
            key for key in after if key.startswith(("image:registry.k8s.io/kube-", "image:registry.k8s.io/pause"))
        }
        assert len(needed) == 5
        assert needed <= before(unit)
        assert "unit:containerd.service" in before("image:" + pause())
        assert any(key.startswith("image:docker.io/library/postgres@") for key in before("objects:postgresql"))


def pause() -> str:
    site = Site(source="upstream", edition="upstream", kube="kubernetes")
    return next(without_tag(image) for image in references(site) if "/pause:" in image)


def test_an_image_that_was_lost_is_brought_back(engine: str, bench: Workbench, wanted: list[Step]) -> None:
    bench.install(wanted)
    if engine == "k3s":
        (lost,) = [name for name in bench.machine.tree.names(f"{DATA}/agent/images") if "kvrocks" in name]
        bench.machine.tree.unlink(f"{DATA}/agent/images/{lost}")
    else:
        del bench.machine.images["docker.io/apache/kvrocks:2.17.0"]
    assert len(bench.plan(wanted).changes()) == 1
    assert bench.install(wanted).status == "done"
    assert bench.plan(wanted).changes() == ()


@pytest.mark.parametrize("engine", ["kubernetes"], indirect=True)
def test_undo_takes_imported_images_out_again(bench: Workbench, wanted: list[Step]) -> None:
    bench.install(wanted)
    del bench.machine.images["docker.io/apache/kvrocks:2.17.0"]
    bench.install(wanted)
    assert "docker.io/apache/kvrocks:2.17.0" in bench.machine.images
    assert bench.undo().status == "done"
    assert "docker.io/apache/kvrocks:2.17.0" not in bench.machine.images


def test_from_a_web_server_each_image_is_fetched_and_then_taken(engine: str, bench: Workbench, tmp_path: Path) -> None:
    site, depot = on_host(made(tmp_path, engine), bench.machine, tmp_path)
    # The fake server's address is the folder it serves.
    web = steps(site, replace(depot, folder=depot.own, web=(str(depot.folder),)), bench.machine)
    found = {item.step.resource.key: item.decision for item in bench.plan(web).items}
    decision = found["built:images/docker.io/apache/kvrocks-2.17.0"]
    assert isinstance(decision, Change)
    assert [action.kind for action in decision.actions] == ["fetch-from-depot", "take-from-depot"]
    result = bench.install(web)
    assert result.status == "done", result.failure
    assert "docker.io/apache/kvrocks:2.17.0" in bench.machine.images


def test_an_image_the_bundle_does_not_have_blocks(engine: str, bench: Workbench, tmp_path: Path) -> None:
    site, depot = on_host(made(tmp_path, engine), bench.machine, tmp_path)
    lacking = {path: row for path, row in depot.targets.items() if "kvrocks" not in path}
    blocked = bench.plan(steps(site, replace(depot, targets=lacking), bench.machine)).blocked()
    found = [item.decision for item in blocked if isinstance(item.decision, Blocked)]
    assert {row.id for row in found} == {"OLR-BND-014"}
    assert all("kvrocks" in str(row.fields["missing"]) for row in found)


def test_a_plan_says_of_each_image_by_which_digest_it_is_believed(engine: str, tmp_path: Path) -> None:
    where = machine(engine)
    site, depot = on_host(made(tmp_path, engine), where, tmp_path)
    plan = _planned(Options(site), site, depot, FakeProbe(where))
    assert plan.images
    assert all(map(is_pinned, plan.images))
    assert json.loads(json.dumps(plan.to_json()["images"])) == list(plan.images)
