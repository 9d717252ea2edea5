"""Releases of upstream projects: from their own site or a mirror, into the cache, their contents in the ledger."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

import installers.core.artifacts.__main__ as worker
from installers.core.artifacts.actions import FetchArtifact, InstallBinary
from installers.core.artifacts.cache import Cache
from installers.core.artifacts.index import File, Pinned, Registry, index
from installers.core.artifacts.releases import fetched_release, members, record_name, released, require_reach
from installers.core.artifacts.upstream import File as UpstreamFile
from installers.core.artifacts.upstream import Upstream, upstream
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built, BuiltFile, Held
from installers.core.facts.files import PathInfo, PathState
from installers.core.model import Blocked, Change, Deferred, Satisfied
from installers.core.resources.artifacts import Binary, Fetched, contents
from installers.site import Paths
from tests.fake.mirrors import Faults, MirrorServer
from tests.unit.core.test_resource_cases import GivenFacts

PATHS = Paths()
PROGRAM = b"\x7fELF the program" * 1000


def archive() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        row = tarfile.TarInfo("./bin/tool")
        row.size = len(PROGRAM)
        tar.addfile(row, io.BytesIO(PROGRAM))
        tar.addfile(tarfile.TarInfo("bin/link"))
    return made.getvalue()


ARCHIVE = archive()


def pin(content: bytes = ARCHIVE, *, url: str = "", sha256: str | None = None) -> Pinned:
    digest = hashlib.sha256(content).hexdigest() if sha256 is None else sha256
    return Pinned("tool", Registry.RELEASE, "tool", "1.0", File("tool.tgz", 0, digest), url)


def quiet(done: int, total: int, unit: str, text: str = "") -> None:
    """Nobody listens."""


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_worker_fetches_the_file_of_the_architecture_it_is_told(
    arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Pinned] = []
    monkeypatch.setattr(worker, "fetched_release", lambda pin, **how: fetched.append(pin))
    wanted = released("runc", arch=arch)
    words = ("fetch", "runc", wanted.file.sha256, f"--cache={tmp_path}", f"--state={tmp_path}", f"--arch={arch}")
    monkeypatch.setattr("sys.argv", ["olares-artifacts", *words])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert worker.main() == 0
    assert fetched == [wanted]


def test_names_of_releases_and_of_packages_do_not_meet() -> None:
    assert not set(upstream().releases) & set(index().artifacts)


def test_a_digest_somebody_vouches_for_counts_only_where_none_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = "ab" * 32
    version = upstream().releases["kubelet"].version
    pinned = released("kubelet", arch="amd64", vouched={f"kubelet-{version}-amd64": mine})
    assert pinned.file.sha256 == upstream().releases["kubelet"].files["amd64"].sha256
    release = upstream().releases["kubelet"]
    bare = {"kubelet": msgspec.structs.replace(release, files={"amd64": UpstreamFile("kubelet")})}
    monkeypatch.setattr("installers.core.artifacts.releases.upstream", lambda: Upstream(bare))
    assert released("kubelet", arch="amd64").file.sha256 == ""
    assert released("kubelet", arch="amd64", vouched={f"kubelet-{version}-amd64": mine}).file.sha256 == mine


@pytest.mark.parametrize(
    ("name", "arch", "id"), [("kubelett", "amd64", "OLR-ART-015"), ("kubelet", "s390x", "OLR-ART-001")]
)
def test_what_there_is_not_is_refused(name: str, arch: str, id: str) -> None:
    with pytest.raises(Failure, match=id):
        released(name, arch=arch)


@pytest.mark.processes
def test_from_the_projects_own_site_with_its_contents_recorded(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", tmp_path / "ledger")
    with MirrorServer(ARCHIVE) as site:
        got = fetched_release(pin(url=site.url), places=(), cache=cache, report=quiet)
        asked = len(site.asked)
        fetched_release(pin(url=site.url), places=(), cache=cache, report=quiet)
        assert len(site.asked) == asked
    assert got.read_bytes() == ARCHIVE
    record = cache.recorded(record_name("tool"), pin().file.sha256)
    assert record
    assert record.files[0] == BuiltFile("bin/tool", hashlib.sha256(PROGRAM).hexdigest(), len(PROGRAM))


@pytest.mark.processes
def test_from_a_mirror_by_the_names_of_the_cache_and_nowhere_else(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", tmp_path / "ledger")
    with MirrorServer(ARCHIVE) as mirror, MirrorServer(ARCHIVE) as site:
        place = f"http://127.0.0.1:{mirror.port}/olares/"
        fetched_release(pin(url=site.url), places=(place,), cache=cache, report=quiet)
        assert set(mirror.paths) == {f"/olares/{pin().entry}"}
        assert site.paths == []


@pytest.mark.processes
def test_a_place_that_lies_about_the_size_keeps_nobody_from_the_file(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", tmp_path / "ledger")
    longer = MirrorServer(ARCHIVE + b"more")
    with longer, MirrorServer(ARCHIVE) as honest:
        places = tuple(f"http://127.0.0.1:{one.port}" for one in (longer, honest))
        assert fetched_release(pin(), places=places, cache=cache, report=quiet).read_bytes() == ARCHIVE


@pytest.mark.processes
def test_a_source_out_of_reach_names_the_choices_and_changes_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", tmp_path / "ledger")
    with MirrorServer(ARCHIVE) as gone:
        url = gone.url
    with pytest.raises(Failure, match="OLR-ART-019") as raised:
        fetched_release(pin(url=url), places=(), cache=cache, report=quiet)
    assert "--source mirror:URL" in raised.value.next
    assert "--source debian" in raised.value.next
    assert not (cache.root / pin().entry).exists()


@pytest.mark.processes
def test_who_is_asked_before_the_first_change() -> None:
    with MirrorServer(ARCHIVE) as gone:
        dead = gone.url
    with MirrorServer(ARCHIVE) as site:
        require_reach((pin(url=site.url), pin(url=site.url)), places=())
        assert len(site.asked) == 1
        place = f"http://127.0.0.1:{site.port}"
        require_reach((pin(url=dead),), places=(dead, place))
        assert site.paths[-1] == f"/{pin().entry}"
        with pytest.raises(Failure, match="OLR-ART-019"):
            require_reach((pin(url=site.url), pin(url=dead)), places=())


@pytest.mark.processes
def test_a_wrong_proxy_is_told_before_the_first_change_and_not_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "cache", tmp_path / "ledger")
    with MirrorServer(ARCHIVE) as site, MirrorServer(b"", Faults(status=407)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:canary@127.0.0.1:{proxy.port}")
        there = "http://name:canary@files.invalid/file"
        with pytest.raises(Failure, match="OLR-PROXY-002"):
            require_reach((pin(url=there),), places=())
        with pytest.raises(Failure, match="OLR-PROXY-002"):
            fetched_release(pin(url=there), places=(), cache=cache, report=quiet)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        require_reach((pin(url=there),), places=("http://files.invalid", f"http://127.0.0.1:{site.port}"))
    with pytest.raises(Failure, match="OLR-ART-019") as raised:
        require_reach((pin(url=there),), places=(there, site.url))
    assert "canary" not in raised.value.what


@pytest.mark.processes
def test_a_web_page_in_its_place_is_told(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", tmp_path / "ledger")
    with MirrorServer(ARCHIVE, Faults(html=True)) as portal, pytest.raises(Failure, match="OLR-ART-006"):
        fetched_release(pin(url=portal.url), places=(), cache=cache, report=quiet)


def test_a_file_that_is_no_archive_has_no_members(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(PROGRAM)
    assert members(tmp_path / "tool") == ()


TARGET = "/usr/local/bin/tool"
RIGHT = PathState("file", 0o755, digest=hashlib.sha256(PROGRAM).hexdigest())
CONTENTS = Built(record_name("tool"), pin().file.sha256, (BuiltFile("bin/tool", RIGHT.digest, len(PROGRAM)),), 0.0, 0.0)


def decided(resource: Fetched | Binary, answers: dict[Any, Any]) -> Any:
    return resource.decide(GivenFacts(answers, resource.needs()))


def test_without_a_digest_nothing_is_installed_and_the_way_to_one_is_named() -> None:
    unpinned = pin(sha256="")
    fetched = Fetched(unpinned, PATHS, ((TARGET, ""),))
    decision = decided(fetched, {fetched.entry: Held.ABSENT, PathInfo(TARGET): None})
    assert isinstance(decision, Blocked)
    assert decision.id == "OLR-ART-018"
    binary = Binary(TARGET, unpinned, PATHS)
    assert isinstance(decided(binary, {PathInfo(TARGET): None}), Deferred)


def test_a_member_is_decided_from_the_ledger_once_the_archive_was_there() -> None:
    binary = Binary(TARGET, pin(), PATHS, "bin/tool")
    record = contents(pin(), PATHS)
    before = decided(binary, {PathInfo(TARGET): None, record: None})
    assert isinstance(before, Deferred)
    after = decided(binary, {PathInfo(TARGET): None, record: CONTENTS})
    assert isinstance(after, Change)
    path = f"{PATHS.cache}/{pin().entry}"
    assert after.actions == (InstallBinary(TARGET, path, "bin/tool", RIGHT.digest),)
    assert isinstance(decided(binary, {PathInfo(TARGET): RIGHT, record: CONTENTS}), Satisfied)
    elsewhere = Binary(TARGET, pin(), PATHS, "tool")
    missing = decided(elsewhere, {PathInfo(TARGET): None, record: CONTENTS})
    assert isinstance(missing, Blocked)
    assert missing.id == "OLR-ART-020"


def test_a_lost_ledger_is_filled_again_from_the_cached_archive() -> None:
    fetched = Fetched(pin(), PATHS, ((TARGET, "bin/tool"),))
    record = contents(pin(), PATHS)
    unknown = decided(fetched, {fetched.entry: Held.GOOD, record: None, PathInfo(TARGET): RIGHT})
    assert isinstance(unknown, Change)
    known = {fetched.entry: Held.ABSENT, record: CONTENTS}
    assert decided(fetched, known | {PathInfo(TARGET): RIGHT}) == Satisfied("installed already")
    assert isinstance(decided(fetched, known | {PathInfo(TARGET): None}), Change)


def test_the_mirrors_of_a_plan_are_kept_in_its_action() -> None:
    fetched = Fetched(pin(), PATHS, (), ("https://mirror.lan/olares",))
    decision = decided(fetched, {fetched.entry: Held.ABSENT})
    assert isinstance(decision, Change)
    (action,) = decision.actions
    assert isinstance(action, FetchArtifact)
    assert json.dumps(action.places) == '["https://mirror.lan/olares"]'
