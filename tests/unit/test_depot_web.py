"""A bundle's directory on web servers: chosen, verified, fetched as far as it is wanted, used when they are away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

# Now and not in a test: a library it brings along tries out a socket when it is imported.
import installers.core.artifacts.depot.client  # noqa: F401
from installers.choice import choose, components, lock_path, lock_text
from installers.core.actions.packages import InstallPackages
from installers.core.artifacts.actions import FetchFromDepot
from installers.core.artifacts.cache import Cache, digest
from installers.core.artifacts.depot.bring import bring
from installers.core.artifacts.depot.contents import Contents, Target
from installers.core.artifacts.depot.keys import Publisher, publisher
from installers.core.artifacts.depot.open import Depot, accept, nothing
from installers.core.artifacts.depot.publish import renew, sign, targets_of
from installers.core.artifacts.report import FAILED, Listener
from installers.core.component.supply import out_of
from installers.core.errors import Failure
from installers.core.facts.packages import PackageVersion, Transaction, UnfinishedPackages
from installers.core.model import Blocked, Change, Step
from installers.core.resources.packages import Packages
from installers.core.resources.supplied import Brought
from installers.opening import kept, opened
from installers.site import Node, Paths, Site
from tests.fake import FakeMachine, FakeProbe
from tests.fake.debian12 import debian12
from tests.fake.webserver import HTML, WebServer
from tests.unit.core.artifacts.depot.conftest import CONTENTS, fill
from tests.unit.core.test_resource_cases import GivenFacts

pytestmark = pytest.mark.processes

TOOL = "fetched/0123456789abcdef-tool.tgz"
DEB = "apt/hello_2.10-3_amd64.deb"
PACKAGES = b"Package: hello\nVersion: 1:2.10-3\nFilename: ./hello_2.10-3_amd64.deb\n"


@dataclass
class Place:
    """A publisher's bundle on a web server, and a host that is to be installed from it."""

    folder: Path
    publisher: Publisher
    paths: Paths
    web: WebServer
    machine: FakeMachine

    @property
    def depot(self) -> Path:
        return self.web.folder

    def site(self, *urls: str) -> Site:
        return Site(source="mirror", places=urls or (self.web.url,), paths=self.paths)

    def opened(self, *urls: str, trust: str = "") -> tuple[Site, Depot | None]:
        return opened(self.site(*urls), FakeProbe(self.machine), trust=trust, report=nothing)

    def installed(self) -> Site:
        """Accepted, with the lock that an installation writes."""
        site, depot = self.opened(trust=self.publisher.fingerprint)
        assert depot is not None
        accept(depot, self.paths)
        site = replace(choose(site, FakeProbe(self.machine)), node=Node("one", "192.0.2.1"))
        self.machine.tree.file(lock_path(site), lock_text(site, components(site)))
        return site

    def refused(self, *urls: str, trust: str = "") -> Failure:
        with pytest.raises(Failure) as found:
            self.opened(*urls, trust=trust)
        assert found.value.what
        assert found.value.next
        return found.value


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    paths = Paths(state=str(tmp_path / "state"), cache=str(tmp_path / "cache"))
    depot, keys = tmp_path / "depot", publisher(tmp_path / "keys")
    fill(depot)
    (depot / "apt/Packages").write_bytes(PACKAGES)
    sign(depot, keys, nothing)
    with WebServer(depot) as web:
        yield Place(tmp_path, keys, paths, web, debian12())


@pytest.fixture
def second(place: Place) -> Iterator[WebServer]:
    """Another web server with a copy."""
    shutil.copytree(place.depot, place.folder / "copy")
    with WebServer(place.folder / "copy") as web:
        yield web


def cache(place: Place) -> Cache:
    return Cache(Path(place.paths.cache), Path(place.paths.built))


def brought(place: Place, depot: Depot, *paths: str) -> None:
    targets = [depot.targets[path] for path in paths]
    bring(depot.folder, targets, depot.web, cache=cache(place), report=nothing)


def test_one_question_tells_a_bundle_from_a_plain_mirror(place: Place) -> None:
    shutil.rmtree(place.depot / "metadata")
    site, depot = place.opened()
    assert (depot, choose(site, FakeProbe(place.machine)).edition, site.publisher) == (None, "upstream", "")
    assert place.web.asked == ["metadata/timestamp.json"]
    assert not Path(place.paths.cache).exists()


def test_a_bundle_decides_edition_and_engine_and_is_kept_in_the_lock(place: Place) -> None:
    site = place.installed()
    assert (site.source, site.edition, site.kube) == ("mirror", "debian", "kubernetes")
    lock = json.loads(place.machine.tree.read(lock_path(site)))
    assert (lock["places"], lock["publisher"]) == ([place.web.url], place.publisher.fingerprint)
    assert site.signed


def test_opening_fetches_the_small_files_only(place: Place) -> None:
    _, depot = place.opened(trust=place.publisher.fingerprint)
    assert depot is not None
    assert {path for path in place.web.asked if not path.startswith("metadata/")} == {
        "contents.json",
        "apt/Packages",
        "apt/Release",
        next(path for path in depot.targets if path.startswith("ledger/")),
    }
    assert (depot.own / "sources.list").read_text() == f"deb [trusted=yes] copy:{depot.own}/apt ./\n"
    assert not (Path(place.paths.state) / "trust").exists()


def test_a_stranger_s_is_refused_and_says_whose_it_is(place: Place) -> None:
    failure = place.refused()
    assert failure.id == "OLR-BND-003"
    assert place.publisher.fingerprint in failure.next
    assert place.refused(trust="sha256:" + "0" * 64).id == "OLR-BND-004"


@pytest.mark.parametrize(
    ("contents", "word"),
    [
        (msgspec.structs.replace(CONTENTS, architecture="arm64"), "arm64"),
        (msgspec.structs.replace(CONTENTS, release="trixie"), "trixie"),
        (msgspec.structs.replace(CONTENTS, family="ubuntu"), "ubuntu"),
    ],
)
def test_one_for_another_host_is_refused_and_says_what_differs(place: Place, contents: Contents, word: str) -> None:
    shutil.rmtree(place.depot)
    fill(place.depot, contents)
    sign(place.depot, place.publisher, nothing)
    failure = place.refused(trust=place.publisher.fingerprint)
    assert (failure.id, word in failure.what) == ("OLR-BND-011", True)


def test_another_engine_than_it_is_for_is_refused(place: Place) -> None:
    wanted = replace(place.site(), kube="k3s")
    with pytest.raises(Failure, match="OLR-BND-011"):
        opened(wanted, FakeProbe(place.machine), trust=place.publisher.fingerprint, report=nothing)


def test_a_forged_one_is_refused(place: Place) -> None:
    # Signed by somebody else, who put the trusted maker's first root beside it.
    stranger = publisher(place.folder / "strangers")
    root = (place.depot / "metadata/1.root.json").read_bytes()
    renew(place.depot, stranger, targets_of(place.depot, place.publisher), valid=timedelta(days=1))
    (place.depot / "metadata/1.root.json").write_bytes(root)
    assert place.refused(trust=place.publisher.fingerprint).id == "OLR-BND-005"


def test_an_expired_one_is_refused(place: Place) -> None:
    renew(place.depot, place.publisher, targets_of(place.depot, place.publisher), valid=timedelta(seconds=-1))
    assert place.refused(trust=place.publisher.fingerprint).id == "OLR-BND-007"


def test_one_that_was_rolled_back_is_refused(place: Place) -> None:
    shutil.copytree(place.depot, place.folder / "old")
    renew(place.depot, place.publisher, targets_of(place.depot, place.publisher), valid=timedelta(days=1))
    place.installed()
    shutil.rmtree(place.depot)
    shutil.move(place.folder / "old", place.depot)
    assert place.refused().id == "OLR-BND-006"


def test_one_that_is_mixed_of_two_is_refused(place: Place) -> None:
    old = (place.depot / "metadata/timestamp.json").read_bytes()
    renew(place.depot, place.publisher, targets_of(place.depot, place.publisher), valid=timedelta(days=1))
    (snapshot,) = (place.depot / "metadata").glob("*.snapshot.json")
    snapshot.unlink()
    assert place.refused(trust=place.publisher.fingerprint).id == "OLR-BND-002"
    (place.depot / "metadata/timestamp.json").write_bytes(old)
    assert place.refused(trust=place.publisher.fingerprint).id in {"OLR-BND-002", "OLR-BND-012"}


def test_a_server_with_a_web_page_for_everything_is_refused(place: Place) -> None:
    place.web.page = HTML
    failure = place.refused()
    assert (failure.id, "web page" in failure.what) == ("OLR-BND-002", True)


@pytest.mark.parametrize("status", [401, 500, 503])
def test_a_server_that_does_not_say_is_not_taken_for_a_plain_mirror(place: Place, status: int) -> None:
    place.web.statuses["metadata/timestamp.json"] = status
    failure = place.refused()
    assert (failure.id, str(status) in failure.what) == ("OLR-BND-018", True)


def test_one_that_is_not_there_is_named_before_anything_is_written(place: Place) -> None:
    failure = place.refused("http://user:secret@127.0.0.1:9/olares")
    assert (failure.id, "http://127.0.0.1:9/olares" in failure.what) == ("OLR-BND-018", True)
    assert "secret" not in failure.what
    assert not Path(place.paths.cache).exists()


def test_a_password_is_taken_from_netrc_and_stands_nowhere_else(place: Place) -> None:
    place.web.login = "me:canary"
    failure = place.refused(trust=place.publisher.fingerprint)
    assert (failure.id, "~/.netrc" in failure.what) == ("OLR-BND-018", True)
    netrc = Path(os.environ["HOME"], ".netrc")
    netrc.write_text("machine 127.0.0.1 login me password canary\n")
    netrc.chmod(0o600)
    site = place.installed()
    _, depot = place.opened()
    assert depot is not None
    place.web.login = "me:another"
    refused = worker(place, depot, TOOL)
    assert refused is not None
    assert (refused.id, "~/.netrc" in refused.what) == ("OLR-ART-004", True)
    place.web.login = "me:canary"
    assert worker(place, depot, TOOL) is None
    assert (depot.folder / TOOL).read_bytes() == b"a tool"
    files = [path for path in place.folder.rglob("*") if path.is_file()]
    written = [path.read_bytes().decode(errors="replace") for path in files]
    kept = [node.content.decode() for node in place.machine.tree.nodes.values() if node.type == "file"]
    assert len(files) > 9
    assert not [text for text in (*map(str, files), *written, *kept, repr(depot), repr(site)) if "canary" in text]


def test_a_plain_mirror_is_refused_where_a_bundle_is_asked_for(place: Place) -> None:
    shutil.rmtree(place.depot / "metadata")
    assert place.refused(trust=place.publisher.fingerprint).id == "OLR-BND-002"


def test_two_places_with_the_same_one_are_both_used(place: Place, second: WebServer) -> None:
    _, depot = place.opened(place.web.url, second.url, trust=place.publisher.fingerprint)
    assert depot is not None
    assert depot.web == (place.web.url, second.url)
    place.web.statuses[TOOL] = 404
    brought(place, depot, TOOL)
    assert (depot.folder / TOOL).read_bytes() == b"a tool"
    assert TOOL in second.asked


def test_two_places_with_different_ones_are_refused(place: Place, second: WebServer) -> None:
    renew(second.folder, place.publisher, targets_of(second.folder, place.publisher), valid=timedelta(days=1))
    failure = place.refused(place.web.url, second.url, trust=place.publisher.fingerprint)
    assert failure.id == "OLR-BND-021"
    assert all(url in failure.what for url in (place.web.url, second.url))
    shutil.rmtree(second.folder / "metadata")
    failure = place.refused(place.web.url, second.url, trust=place.publisher.fingerprint)
    assert (failure.id, f"{second.url} has none" in failure.what) == ("OLR-BND-021", True)


def test_of_two_places_one_that_is_away_is_told_and_left_out(place: Place) -> None:
    told: list[str] = []
    site = place.site("http://127.0.0.1:9/olares", place.web.url)
    _, depot = opened(
        site,
        FakeProbe(place.machine),
        trust=place.publisher.fingerprint,
        report=lambda done, total, unit, text="": told.append(text),
    )
    assert depot is not None
    assert depot.web == (place.web.url,)
    assert any("127.0.0.1:9" in text for text in told)


@pytest.mark.parametrize("content", [b"a toot", HTML, b"a tool and more", b""])
def test_a_file_that_was_swapped_is_named_and_not_kept(place: Place, content: bytes) -> None:
    _, depot = place.opened(trust=place.publisher.fingerprint)
    assert depot is not None
    (place.depot / TOOL).write_bytes(content)
    with pytest.raises(Failure) as found:
        brought(place, depot, TOOL)
    assert found.value.id == ("OLR-BND-009" if content == b"a toot" else "OLR-ART-004")
    assert TOOL in found.value.what
    assert not (depot.folder / TOOL).exists()


def test_a_liar_beside_a_sound_place_does_no_harm(place: Place, second: WebServer) -> None:
    (place.depot / TOOL).write_bytes(b"a toot")
    _, depot = place.opened(place.web.url, second.url, trust=place.publisher.fingerprint)
    assert depot is not None
    brought(place, depot, TOOL)
    assert (depot.folder / TOOL).read_bytes() == b"a tool"


def test_what_is_there_is_not_fetched_again_and_what_was_harmed_is(place: Place) -> None:
    _, depot = place.opened(trust=place.publisher.fingerprint)
    assert depot is not None
    brought(place, depot, TOOL)
    (place.depot / TOOL).rename(place.depot / "gone")
    brought(place, depot, TOOL)
    (depot.folder / TOOL).write_bytes(b"a toot")
    (place.depot / "gone").rename(place.depot / TOOL)
    brought(place, depot, TOOL)
    assert (depot.folder / TOOL).read_bytes() == b"a tool"
    assert place.web.asked.count(TOOL) == 2


def test_an_installation_goes_on_without_the_web_server(place: Place) -> None:
    site = place.installed()
    asked = len(place.web.asked)
    kept(place.site(), FakeProbe(place.machine), trust="", report=nothing)
    assert len(place.web.asked) == asked
    away = replace(place.site("http://127.0.0.1:9/olares"))
    for ask in (opened, kept):
        again, depot = ask(away, FakeProbe(place.machine), trust="", report=nothing)
        assert depot is not None
        assert (again.publisher, again.edition, again.kube) == (site.publisher, site.edition, site.kube)
        assert depot.repository() is not None
        assert depot.contents == CONTENTS


def test_who_only_looks_asks_once_more_when_the_cache_was_emptied(place: Place) -> None:
    place.installed()
    shutil.rmtree(place.paths.cache)
    _, depot = kept(place.site(), FakeProbe(place.machine), trust="", report=nothing)
    assert depot is not None
    assert (depot.own / "contents.json").is_file()


def test_an_empty_file_is_one_too(place: Place) -> None:
    (place.depot / TOOL).write_bytes(b"")
    shutil.rmtree(place.depot / "metadata")
    sign(place.depot, place.publisher, nothing)
    _, depot = place.opened(trust=place.publisher.fingerprint)
    assert depot is not None
    brought(place, depot, TOOL)
    assert (depot.folder / TOOL).read_bytes() == b""


def test_an_installation_does_not_fall_back_on_what_was_never_accepted(place: Place) -> None:
    place.opened(trust=place.publisher.fingerprint)
    assert place.refused("http://127.0.0.1:9/olares", trust=place.publisher.fingerprint).id == "OLR-BND-018"


def test_a_place_that_lost_its_signatures_is_refused_once_it_was_chosen(place: Place) -> None:
    place.installed()
    shutil.rmtree(place.depot / "metadata")
    assert place.refused().id == "OLR-BND-002"


@pytest.mark.parametrize(("source", "locked"), [("mirror", True), ("upstream", True), ("upstream", False)])
def test_trust_where_nothing_signed_is_chosen_is_not_ignored(place: Place, source: str, *, locked: bool) -> None:
    site = Site(source=source, places=(place.web.url,) if source == "mirror" else (), paths=place.paths)
    if locked:
        made = replace(choose(site, FakeProbe(place.machine)), node=Node("one", "192.0.2.1"))
        place.machine.tree.file(lock_path(site), lock_text(made, ()))
    for wanted in (site, Site(paths=place.paths)):
        for ask in (opened, kept):
            with pytest.raises(Failure) as caught:
                ask(wanted, FakeProbe(place.machine), trust=place.publisher.fingerprint, report=nothing)
            assert (caught.value.id, source in caught.value.what) == ("OLR-BND-023", True)
            assert ("locked" in caught.value.what) is locked
        assert opened(wanted, FakeProbe(place.machine), trust="", report=nothing) == (wanted, None)
    assert place.web.asked == []


def test_another_maker_than_the_one_chosen_is_refused_though_trusted(place: Place) -> None:
    site = place.installed()
    text = json.loads(place.machine.tree.read(lock_path(site)))
    place.machine.tree.file(lock_path(site), json.dumps(text | {"publisher": "sha256:" + "1" * 64}))
    assert place.refused().id == "OLR-BND-004"


def test_a_plain_mirror_that_was_chosen_is_never_asked_again(place: Place) -> None:
    shutil.rmtree(place.depot / "metadata")
    site, _ = place.opened()
    site = replace(choose(site, FakeProbe(place.machine)), node=Node("one", "192.0.2.1"))
    place.machine.tree.file(lock_path(site), lock_text(site, components(site)))
    asked = len(place.web.asked)
    assert place.opened()[1] is None
    assert len(place.web.asked) == asked


def test_a_newer_one_is_taken_up_by_the_next_install(place: Place) -> None:
    place.installed()
    renew(place.depot, place.publisher, targets_of(place.depot, place.publisher), valid=timedelta(days=9))
    _, depot = place.opened()
    assert depot is not None
    assert depot.seen is not None


def hello(depot: Depot, paths: Paths) -> Brought:
    (step,) = out_of(depot, [Step(Packages("hello"), "x", "packages")], paths)
    assert isinstance(step.resource, Brought)
    return step.resource


def transaction(resource: Brought, *new: tuple[str, str]) -> GivenFacts:
    given = {PackageVersion("hello"): None, UnfinishedPackages(): (), resource.resource.transaction: Transaction(new)}
    return GivenFacts(given, resource.needs())


def test_packages_are_fetched_before_apt_installs_them_from_here(place: Place) -> None:
    _, depot = place.opened(trust=place.publisher.fingerprint)
    assert depot is not None
    resource = hello(depot, place.paths)
    decision = resource.decide(transaction(resource, ("hello", "1:2.10-3")))
    assert isinstance(decision, Change)
    fetch, install = decision.actions
    assert isinstance(fetch, FetchFromDepot)
    assert isinstance(install, InstallPackages)
    assert [path for path, _, _ in fetch.files] == [DEB]
    assert install.repository is not None
    assert install.repository.folder == f"{fetch.folder}/apt"
    bring(Path(fetch.folder), [Target(*row) for row in fetch.files], fetch.places, cache=cache(place), report=nothing)
    assert digest(Path(install.repository.folder) / Path(DEB).name) == depot.targets[DEB].sha256


def test_a_package_that_is_not_in_it_is_named(place: Place) -> None:
    _, depot = place.opened(trust=place.publisher.fingerprint)
    assert depot is not None
    resource = hello(depot, place.paths)
    decision = resource.decide(transaction(resource, ("hello", "3")))
    assert isinstance(decision, Blocked)
    assert (decision.id, decision.fields["missing"]) == ("OLR-BND-014", "hello 3")


def worker(place: Place, depot: Depot, *paths: str) -> Failure | None:
    """The worker that the action starts, without the namespaces that only root can have."""
    files = [astuple(depot.targets[path]) for path in paths]
    work = json.dumps({"folder": str(depot.folder), "files": files})
    where = (f"--cache={place.paths.cache}", f"--state={place.paths.state}", *(f"--place={one}" for one in depot.web))
    argv = [sys.executable, "-P", "-m", "installers.core.artifacts", "bring", "x", work, *where]
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": os.environ["HOME"]}
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "canary" not in repr((argv, ended.stdout, ended.stderr))
    listener = Listener(lambda done, total, unit, text: None)
    for line in ended.stdout.splitlines():
        listener(line)
    assert ended.returncode == (FAILED if listener.failure else 0), ended.stderr
    return listener.failure


def test_the_worker_brings_files_and_names_what_is_wrong(place: Place) -> None:
    _, depot = place.opened(trust=place.publisher.fingerprint)
    assert depot is not None
    (place.depot / TOOL).write_bytes(b"a toot")
    failure = worker(place, depot, DEB, TOOL)
    assert failure is not None
    assert (failure.id, TOOL in failure.what) == ("OLR-BND-009", True)
    assert (depot.folder / DEB).is_file()
    (place.depot / TOOL).write_bytes(b"a tool")
    assert worker(place, depot, DEB, TOOL) is None
    assert place.web.asked.count(DEB) == 1


def test_a_cut_off_download_goes_on_where_it_stopped(place: Place) -> None:
    size = 24 << 20
    (place.depot / TOOL).write_bytes(bytes(range(256)) * (size >> 8))
    shutil.rmtree(place.depot / "metadata")
    sign(place.depot, place.publisher, nothing)
    _, depot = place.opened(trust=place.publisher.fingerprint)
    assert depot is not None

    def cut(done: int, total: int, unit: str, text: str = "") -> None:
        if total and done > size // 4:
            raise KeyboardInterrupt

    place.web.pace = 4 << 20
    with pytest.raises(KeyboardInterrupt):
        bring(depot.folder, [depot.targets[TOOL]], depot.web, cache=cache(place), report=cut)
    assert (depot.folder / f"{TOOL}.part").is_file()
    before, place.web.pace = place.web.sent, 0.0
    brought(place, depot, TOOL)
    assert digest(depot.folder / TOOL) == depot.targets[TOOL].sha256
    assert place.web.sent - before < size
