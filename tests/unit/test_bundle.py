"""Making a bundle on the fake Debian 12 with a warm cache, and opening what was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

# Now and not in a test: a library it brings along tries out a socket when it is imported.
import installers.core.artifacts.depot.client  # noqa: F401
from installers import bundle
from installers.bundle import Order, create
from installers.choice import choose
from installers.core.artifacts.actions import FetchFromDepot, TakeFromDepot
from installers.core.artifacts.cache import Cache, digest, verify_all
from installers.core.artifacts.depot.bring import bring
from installers.core.artifacts.depot.contents import For, Target
from installers.core.artifacts.depot.open import Depot, check_files, nothing, open_depot
from installers.core.artifacts.depot.take import Supply, take
from installers.core.artifacts.recipes import IMAGE
from installers.core.component.supply import out_of
from installers.core.component.values import Platform
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built as Record
from installers.core.facts.artifacts import BuiltFile, Held, parse_built
from installers.core.model import Change
from installers.core.model.events import Event, StepFinished
from installers.core.resources.artifacts import Built
from installers.core.resources.packages import Packages
from installers.core.resources.supplied import Brought, Supplied
from installers.install import component_steps
from installers.opening import opened
from installers.site import Paths, Site
from tests.fake import FakeProbe
from tests.fake.debian12 import debian12
from tests.fake.webserver import WebServer
from tests.unit.core.test_resource_cases import GivenFacts

HOST = For("debian", "bookworm", "amd64", "kubernetes", "debian")


def site(tmp_path: Path) -> Site:
    paths = Paths(state=str(tmp_path / "state"), cache=str(tmp_path / "cache"))
    return Site(source="debian", edition="debian", kube="kubernetes", paths=paths)


@pytest.fixture
def warm(tmp_path: Path) -> Site:
    """Everything built that the components want, small and false."""
    wanted = site(tmp_path)
    cache = Cache(Path(wanted.paths.cache), Path(wanted.paths.built))
    for step in component_steps(wanted, Platform("bookworm", "amd64")):
        if isinstance(step.resource, Built):
            planned = step.resource.planned
            folder = cache.root / cache.folder(planned.name, planned.key)
            folder.mkdir(parents=True)
            files = []
            for name in planned.recipe.makes:
                (folder / name).write_text(f"{planned.name} {name}")
                sha256 = digest(folder / name)
                image = f"sha256:{sha256}" if name == IMAGE else ""
                files.append(BuiltFile(name, sha256, (folder / name).stat().st_size, image))
            cache.record(Record(planned.name, planned.key, tuple(files), 1.0, 2.0))
    return wanted


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names apt was asked for."""
    names: list[str] = []

    def gather(wanted: Sequence[str], to: Path, probe: object, report: object) -> None:
        names.extend(wanted)
        to.mkdir()
        (to / "hello_2.10-3_amd64.deb").write_bytes(b"!<arch>\n")

    monkeypatch.setattr(bundle, "gather", gather)
    monkeypatch.setattr(bundle, "index", lambda folder: [(folder / n).write_text(n) for n in ("Packages", "Release")])
    return names


def made(warm: Site, output: Path) -> tuple[Depot, list[Event]]:
    events: list[Event] = []
    ended = create(Order(warm, output, output.parent / "keys"), FakeProbe(debian12()), events.append)
    elsewhere = replace(warm.paths, state=str(output.parent / "there"), cache=str(output.parent / "there/cache"))
    return open_depot(str(output), elsewhere, HOST, trust=ended.fingerprint), events


@pytest.mark.parametrize("name", ["olares.tar.zst", "olares"])
def test_what_was_made_supplies_every_step(warm: Site, asked: list[str], tmp_path: Path, name: str) -> None:
    depot, events = made(warm, tmp_path / name)
    check_files(depot, nothing)
    steps = out_of(depot, component_steps(warm, Platform("bookworm", "amd64")), warm.paths)
    supplied = [step.resource for step in steps if isinstance(step.resource, Supplied)]
    assert supplied
    assert all(one.targets and one.record for one in supplied)
    assert {row.outcome for row in events if isinstance(row, StepFinished)} == {"changed"}
    assert depot.contents.components[0] == "host"


def test_apt_is_asked_for_what_the_components_name_and_for_no_build_tool(
    warm: Site, asked: list[str], tmp_path: Path
) -> None:
    depot, _ = made(warm, tmp_path / "olares")
    steps = component_steps(warm, Platform("bookworm", "amd64"))
    named = {name for step in steps if isinstance(step.resource, Packages) for name in step.resource.names}
    assert set(asked) == named
    assert {"containerd", "etcd-server"} <= named
    assert not named & {"buildah", "mmdebstrap"}
    assert depot.repository() is not None


@pytest.mark.parametrize("name", ["olares.tar.zst", "olares"])
def test_the_cache_is_not_touched_and_nothing_else_is_left(
    warm: Site, asked: list[str], tmp_path: Path, name: str
) -> None:
    cache = Path(warm.paths.cache)
    before = {path: digest(path) for path in cache.rglob("*") if path.is_file()}
    made(warm, tmp_path / name)
    assert {path: digest(path) for path in (cache / "built").rglob("*") if path.is_file()} == before
    assert list((cache / "temporary").glob("*")) == []
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "state", "keys", "there", name}


def test_what_has_to_be_built_without_tools_is_said_with_what_to_type(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(Failure) as found:
        create(Order(site(tmp_path), tmp_path / "b", tmp_path / "keys"), FakeProbe(debian12()), lambda event: None)
    assert (found.value.id, "apt-get install" in found.value.what) == ("OLR-BND-020", True)
    assert not (tmp_path / "b").exists()


@pytest.mark.processes
def test_all_of_it_comes_from_a_web_server(warm: Site, asked: list[str], tmp_path: Path) -> None:
    machine, there = FakeProbe(debian12()), tmp_path / "there"
    ended = create(Order(warm, tmp_path / "olares", tmp_path / "keys"), machine, lambda event: None)
    paths = Paths(state=str(there), cache=str(there / "cache"))
    cache = Cache(Path(paths.cache), Path(paths.built))
    with WebServer(ended.output) as web:
        asked_for = Site(source="mirror", places=(web.url,), paths=paths)
        site, depot = opened(asked_for, machine, trust=ended.fingerprint, report=nothing)
        assert depot is not None
        steps = out_of(depot, component_steps(choose(site, machine), Platform("bookworm", "amd64")), paths)
        wanted = [step.resource for step in steps if isinstance(step.resource, Supplied)]
        for resource in wanted:
            needs = resource.needs()
            decision = resource.decide(GivenFacts({fact: fact.load(machine) for fact in needs}, needs))
            assert isinstance(decision, Change)
            fetch, taken = decision.actions
            assert isinstance(fetch, FetchFromDepot)
            assert isinstance(taken, TakeFromDepot)
            files = [Target(*row) for row in fetch.files]
            bring(Path(fetch.folder), files, fetch.places, cache=cache, report=nothing)
            supplies = tuple(
                Supply(f"{taken.folder}/{path}", entry, sha256, size) for path, entry, sha256, size in taken.files
            )
            take(taken.name, supplies, parse_built(taken.record), cache=cache, report=nothing)
    assert wanted
    for record in (resource.record for resource in wanted):
        assert record
        assert verify_all(cache.files(record)) is Held.GOOD
    assert any(isinstance(step.resource, Brought) for step in steps)
