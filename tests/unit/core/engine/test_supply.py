"""An installation out of a bundle, on the fake Debian 12: nothing fetched, nothing built, apt asks nobody."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from installers.core.artifacts.cache import Cache
from installers.core.artifacts.depot.contents import APT, LEDGER, Contents, Target
from installers.core.artifacts.depot.open import Depot
from installers.core.artifacts.recipes import IMAGE, Planned
from installers.core.component.steps import ARTIFACTS, BUILD_TOOLS
from installers.core.component.supply import out_of
from installers.core.facts.artifacts import Built as Record
from installers.core.facts.artifacts import BuiltFile
from installers.core.model import Blocked, Change, Step
from installers.core.model.events import ActionStarted
from installers.core.resources.artifacts import Built
from installers.core.resources.packages import Packages
from installers.site import Paths
from tests.unit.core.engine.debian_install import Relentless, debian_bench, steps
from tests.unit.core.engine.workbench import Workbench

STICK = "/media/stick/olares"
MAKER, END = "sha256:" + "0" * 64, "2027-01-01T00:00:00Z"
CONTENTS = Contents("debian", "kubernetes", "amd64", (), "2026-11-22T12:00:00Z", "0.1.0", "debian", "bookworm")


class Stick:
    """A bundle on a stick that is in the fake machine; what is kept of it lies in a real directory."""

    def __init__(self, bench: Workbench, own: Path, *, web: bool = False) -> None:
        self.bench = bench
        self.web = web
        self.own = own
        self.targets: dict[str, Target] = {}

    def put(self, path: str, content: bytes) -> None:
        self.bench.machine.tree.file(f"{STICK}/{path}", content)
        self.targets[path] = Target(path, hashlib.sha256(content).hexdigest(), len(content))

    def build(self, planned: Planned) -> None:
        cache, paths = Cache(Path(Paths().cache), Path(Paths().built)), []
        for name in planned.recipe.makes:
            content = f"{planned.name} {name}, built elsewhere\n".encode()
            self.put(f"{cache.folder(planned.name, planned.key)}/{name}", content)
            digest = hashlib.sha256(content).hexdigest()
            paths.append(BuiltFile(name, digest, len(content), f"sha256:{digest}" if name == IMAGE else ""))
        row = json.dumps(asdict(Record(planned.name, planned.key, tuple(paths), 1.0, 2.0))).encode()
        file = f"{LEDGER}/{cache.record_path(planned.name, planned.key).name}"
        self.put(file, row)
        self.keep(file, row)

    def keep(self, path: str, content: bytes) -> None:
        """One of the files that are kept since it was opened."""
        (self.own / path).parent.mkdir(parents=True, exist_ok=True)
        (self.own / path).write_bytes(content)
        if self.web:
            self.bench.machine.tree.file(f"{self.own}/{path}", content)

    def everything(self) -> Stick:
        """All builds, and an index over the fake archive."""
        stanzas = []
        for package in self.bench.machine.dpkg.archive.values():
            self.put(f"{APT}/{package.name}.deb", f"{package.name} {package.version}".encode())
            name, version = f"Package: {package.name}", f"Version: {package.version}"
            stanzas.append(f"{name}\n{version}\nFilename: ./{package.name}.deb\n")
        for file, content in (("Packages", "\n".join(stanzas).encode()), ("Release", b"Suite: bundle\n")):
            self.put(f"{APT}/{file}", content)
            self.keep(f"{APT}/{file}", content)
        for step in steps():
            if isinstance(step.resource, Built):
                self.build(step.resource.planned)
        return self

    def depot(self) -> Depot:
        if self.web:
            # The fake server's address is the folder it serves.
            stand_in = Depot("http://depot.lan", self.own, self.own, MAKER, CONTENTS, self.targets, END)
            return replace(stand_in, web=(STICK,))
        return Depot(STICK, Path(STICK), self.own, MAKER, CONTENTS, self.targets, END)


@pytest.fixture
def bench(tmp_path: Path, hasty: None) -> Workbench:
    return debian_bench(tmp_path / "bench")


@pytest.fixture
def stick(bench: Workbench, tmp_path: Path) -> Stick:
    return Stick(bench, tmp_path / "cache/bundles/abc").everything()


@pytest.fixture
def web(bench: Workbench, tmp_path: Path) -> Stick:
    """The same on a web server."""
    return Stick(bench, tmp_path / "cache/bundles/def", web=True).everything()


def supplied(stick: Stick) -> list[Step]:
    return out_of(stick.depot(), steps(), Paths())


def test_everything_is_decided_before_anything_begins(bench: Workbench, stick: Stick) -> None:
    plan = bench.plan(supplied(stick))
    kinds = {
        action.kind for item in plan.items if isinstance(item.decision, Change) for action in item.decision.actions
    }
    assert "take-from-depot" in kinds
    assert not kinds & {"fetch-artifact", "build-recipe"}
    assert plan.blocked() == ()
    usual = debian_bench(Path(bench.path).parent / "usual").plan(list(steps()))
    assert len(plan.deferred()) < len(usual.deferred())


def test_the_step_of_the_build_tools_is_gone(stick: Stick) -> None:
    keys = {step.resource.key for step in supplied(stick)}
    assert BUILD_TOOLS in {step.resource.key for step in steps()}
    assert BUILD_TOOLS not in keys
    assert all(step.after <= keys for step in supplied(stick))


def test_apt_is_given_the_bundle_s_repository_and_nothing_else(stick: Stick) -> None:
    packages = [step.resource for step in supplied(stick) if isinstance(step.resource, Packages)]
    assert packages
    for resource in packages:
        assert resource.repository is not None
        words = " ".join(resource.repository.options)
        assert f"sourcelist={stick.own}/sources.list" in words
        assert "sourceparts=/dev/null" in words


def test_it_is_installed_and_a_second_time_changes_nothing(bench: Workbench, stick: Stick) -> None:
    result = bench.install(supplied(stick))
    assert result.status == "done", result.failure
    assert not bench.machine.tree.exists("/usr/bin/buildah")
    result = bench.install(supplied(stick))
    assert (result.status, result.changes) == ("done", 0)


def test_a_build_of_another_version_is_named_before_anything_begins(bench: Workbench, stick: Stick) -> None:
    lacking = next(path for path in stick.targets if path.startswith(f"{LEDGER}/platform-nats"))
    del stick.targets[lacking]
    blocked = [item.decision for item in bench.plan(supplied(stick)).blocked()]
    assert [row.id for row in blocked if isinstance(row, Blocked)] == ["OLR-BND-014"]


Harm = Callable[[Stick], None]


@pytest.mark.parametrize(
    "harm",
    [
        lambda stick: stick.bench.machine.tree.file(f"{STICK}/{APT}/Packages", b"Package: evil\n"),
        lambda stick: stick.bench.machine.tree.unlink(f"{STICK}/{APT}/Packages"),
        lambda stick: stick.bench.machine.tree.file(f"{STICK}/{APT}/Release", b"Suite: evil\n"),
    ],
    ids=["other packages", "no packages", "another release file"],
)
def test_a_repository_that_was_changed_is_not_used(bench: Workbench, stick: Stick, harm: Harm) -> None:
    before = supplied(stick)
    harm(stick)
    found = [item.decision for item in bench.plan(before).items if isinstance(item.step.resource, Packages)]
    assert found
    assert {row.id for row in found if isinstance(row, Blocked)} == {"OLR-PKG-013"}
    assert all(isinstance(row, Blocked) for row in found)


def test_one_that_is_changed_after_the_plan_is_not_used_either(bench: Workbench, stick: Stick) -> None:
    wanted = next(step.resource for step in supplied(stick) if isinstance(step.resource, Packages))
    assert wanted.repository is not None
    forged = wanted.out_of(replace(wanted.repository, packages="0" * 64))
    result = bench.install([Step(forged, "packages", ARTIFACTS)])
    assert result.status == "failed"
    assert bench.machine.dpkg.database.keys().isdisjoint(wanted.names)


def test_from_a_web_server_files_are_fetched_before_they_are_used(bench: Workbench, web: Stick) -> None:
    for item in bench.plan(supplied(web)).items:
        kinds = [action.kind for action in item.decision.actions] if isinstance(item.decision, Change) else []
        for user in {"take-from-depot", "install-packages"} & set(kinds):
            assert kinds[kinds.index(user) - 1] == "fetch-from-depot"


def test_an_install_from_a_web_server_cut_off_again_and_again_ends_the_same(bench: Workbench, web: Stick) -> None:
    kinds = {"fetch-from-depot", "take-from-depot", "install-packages"}
    first: dict[str, str] = {}

    def first_of_a_kind(event: ActionStarted) -> bool:
        return event.kind in kinds and first.setdefault(event.kind, event.what) == event.what

    relentless = Relentless(bench, ("before", "inside", "after"), first_of_a_kind)
    result = relentless.through(lambda: bench.install(supplied(web)))
    assert result.status == "done", result.failure
    assert first.keys() == kinds
    assert len(relentless.crashes) > 2 * len(kinds)
    assert not [path for path in bench.machine.tree.nodes if path.endswith(".part")]
    result = bench.install(supplied(web))
    assert (result.status, result.changes) == ("done", 0)


def test_of_the_packages_only_those_that_apt_installs_are_fetched(bench: Workbench, web: Stick) -> None:
    web.put(f"{APT}/unwanted.deb", b"nobody wants it")
    assert bench.install(supplied(web)).status == "done"
    fetched = {path.rpartition("/")[2] for path in bench.machine.tree.nodes if path.startswith(f"{web.own}/{APT}/")}
    assert "containerd.deb" in fetched
    assert fetched - {"Packages", "Release"} <= {f"{name}.deb" for name in bench.machine.dpkg.database}
