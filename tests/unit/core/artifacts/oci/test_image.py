"""Images from a registry that asks for tokens, sends elsewhere, drops, lies, or has something else."""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from installers.core.artifacts.cache import Cache, digest
from installers.core.artifacts.fetch import Limits
from installers.core.artifacts.oci.image import PARTS, Order, digest_served, fetched_image
from installers.core.artifacts.recipes import IMAGE
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built
from installers.site import Registry
from tests.fake.registry import FakeRegistry, Faults, Image, layer
from tests.fake.tls import server_side
from tests.unit.core.artifacts.test_fetch import LIMITS

pytestmark = pytest.mark.processes

HOST = "127.0.0.1:1"
"""A registry that nobody is at: its mirrors are asked first."""
BASE = layer({"bin/base": random.Random(3).randbytes(900_000)})  # noqa: S311 - any bytes will do
IMAGES = {
    "oci": Image({arch: (BASE, layer({"bin/thing": arch.encode()})) for arch in ("amd64", "arm64")}),
    "docker": Image({arch: (BASE, layer({"bin/thing": arch.encode()})) for arch in ("amd64", "arm64")}, docker=True),
}
THING = IMAGES["oci"]
TAGS = {"of/thing:1.2": THING.index}
QUICK = replace(LIMITS, stall=2.0)


def silent(done: int, total: int, unit: str, text: str = "") -> None:
    """A report nobody reads."""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", tmp_path / "built")


def order(*servers: FakeRegistry, image: Image = THING, arch: str = "amd64", limits: Limits = QUICK) -> Order:
    mirrors = Registry(HOST, tuple(server.url for server in servers))
    return Order(f"{HOST}/of/thing:1.2@{image.index}", image.index, arch, (mirrors,), limits)


@contextmanager
def registries(*faults: Faults, image: Image = THING) -> Iterator[list[FakeRegistry]]:
    servers = [FakeRegistry(image, row, TAGS) for row in faults]
    for server in servers:
        server.__enter__()
    try:
        yield servers
    finally:
        for server in servers:
            server.__exit__(None, None, None)


def archive(cache: Cache, built: Built) -> Path:
    return cache.root / cache.folder(built.recipe, built.key) / IMAGE


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as found:
        return {row.name: content.read() for row in found if (content := found.extractfile(row))}


@pytest.mark.parametrize("kind", IMAGES)
def test_the_archive_has_one_architecture_under_both_names(cache: Cache, kind: str) -> None:
    image = IMAGES[kind]
    with registries(Faults(), image=image) as servers:
        built = fetched_image(order(*servers, image=image), cache=cache, report=silent)
    found = members(archive(cache, built))
    index = json.loads(found["index.json"])
    names = [row["annotations"]["io.containerd.image.name"] for row in index["manifests"]]
    assert names == [f"{HOST}/of/thing@{image.index}", f"{HOST}/of/thing:1.2"]
    assert {row["digest"] for row in index["manifests"]} == {image.manifests["amd64"]} == {built.file(IMAGE).image}
    blobs = {name.rpartition("/")[2] for name in found if name.startswith("blobs/")}
    manifest = json.loads(image.documents[image.manifests["amd64"]][1])
    wanted = (image.manifests["amd64"], *(row["digest"] for row in (manifest["config"], *manifest["layers"])))
    assert blobs == {one.removeprefix("sha256:") for one in wanted}, "and nothing of the other architecture"
    assert built == cache.recorded(built.recipe, built.key)
    assert digest(archive(cache, built)) == built.file(IMAGE).sha256
    assert not list((cache.root / PARTS).iterdir())


def test_the_same_image_is_the_same_bytes_and_is_not_fetched_again(cache: Cache, tmp_path: Path) -> None:
    other = Cache(tmp_path / "other", tmp_path / "other-built")
    with registries(Faults()) as servers:
        first = fetched_image(order(*servers), cache=cache, report=silent)
        second = fetched_image(order(*servers), cache=other, report=silent)
        asked = len(servers[0].asked)
        fetched_image(order(*servers), cache=cache, report=silent)
        assert len(servers[0].asked) == asked
        archive(cache, first).write_bytes(b"something else")
        third = fetched_image(order(*servers), cache=cache, report=silent)
    assert {one.files for one in (first, second, third)} == {first.files}
    assert archive(cache, first).read_bytes() == archive(other, second).read_bytes()


def test_the_other_architecture_is_another_entry(cache: Cache) -> None:
    with registries(Faults()) as servers:
        one, other = (fetched_image(order(*servers, arch=arch), cache=cache, report=silent) for arch in THING.manifests)
    assert one.key != other.key
    assert other.file(IMAGE).image == THING.manifests["arm64"]


def test_a_token_is_asked_for_once_and_shown_to_nobody_else(cache: Cache) -> None:
    with registries(Faults()) as (store,), registries(Faults(token="t", elsewhere=store.url)) as (registry,):  # noqa: S106
        fetched_image(order(registry), cache=cache, report=silent)
        assert registry.given == 1
        assert {shown for path, shown in registry.asked if "/token" in path} == {""}
    assert store.paths("/storage/")
    assert {shown for _, shown in store.asked} == {""}


def test_a_token_that_ends_is_renewed(cache: Cache) -> None:
    with registries(Faults(token="t", uses=2)) as (registry,):  # noqa: S106
        fetched_image(order(registry, limits=replace(QUICK, connections=1)), cache=cache, report=silent)
        assert registry.given > 1


def test_a_mirror_is_asked_first_and_told_whose_image_is_meant(cache: Cache) -> None:
    with registries(Faults(statuses={"/manifests/": 404, "/blobs/": 404}), Faults()) as (lacking, having):
        fetched_image(order(lacking, having), cache=cache, report=silent)
        assert lacking.paths("/manifests/")
        assert all(path.endswith("?ns=127.0.0.1%3A1") for path in having.paths("/v2/"))


@pytest.mark.parametrize(
    "faults",
    [
        Faults(statuses={"/v2/": 503}, refuse=2),
        Faults(statuses={"/v2/": 429}, refuse=2, retry_after="0"),
        Faults(cut_after=100_000, cuts=3),
    ],
    ids=["busy", "too many", "cut off"],
)
def test_passing_troubles_pass(cache: Cache, faults: Faults) -> None:
    with registries(faults) as servers:
        assert fetched_image(order(*servers), cache=cache, report=silent).files


def test_what_was_fetched_is_kept_for_the_next_time(cache: Cache) -> None:
    small = THING.documents[THING.manifests["amd64"]][1]
    last = json.loads(small)["layers"][-1]["digest"]
    with registries(Faults(statuses={last: 404})) as servers, pytest.raises(Failure, match="OLR-ART-004"):
        fetched_image(order(*servers), cache=cache, report=silent)
    with registries(Faults()) as servers:
        fetched_image(order(*servers), cache=cache, report=silent)
        (asked,) = {path.partition("?")[0].rpartition("/")[2] for path in servers[0].paths("/blobs/")}
    assert asked == last


def refused(cache: Cache, wanted: Order) -> Failure:
    """Asked at its mirrors alone: there is no registry of that name."""
    with pytest.raises(Failure) as found:
        fetched_image(wanted, cache=cache, report=silent)
    assert not list((cache.root / "built").glob("*")), "whole or not at all"
    return found.value


CASES = [
    (Faults(statuses={"/v2/": 403}), "OLR-IMAGE-005"),
    (Faults(token="t", challenge='Basic realm="x"'), "OLR-IMAGE-005"),  # noqa: S106
    (Faults(statuses={"/manifests/": 404}), "OLR-IMAGE-006"),
    (Faults(statuses={"/manifests/": 429}), "OLR-IMAGE-007"),
    (Faults(html="/manifests/"), "OLR-IMAGE-008"),
    (Faults(wrong="/manifests/"), "OLR-IMAGE-009"),
    (Faults(statuses={"/manifests/": 418}), "OLR-IMAGE-004"),
    (Faults(token="t", no_token=b"<html>"), "OLR-IMAGE-004"),  # noqa: S106
    (Faults(token="t", no_token=b'{"token": "a\\r\\nHost: b"}'), "OLR-IMAGE-004"),  # noqa: S106
    (Faults(html="/blobs/"), "OLR-ART-006"),
    (Faults(wrong="/blobs/"), "OLR-ART-005"),
    (Faults(statuses={"/blobs/": 403}), "OLR-ART-004"),
]


@pytest.mark.parametrize(("faults", "id"), CASES, ids=range(len(CASES)))
def test_each_trouble_has_a_name(cache: Cache, monkeypatch: pytest.MonkeyPatch, faults: Faults, id: str) -> None:
    # Only the mirror is asked, so that what it says is what is told.
    monkeypatch.setattr("installers.core.artifacts.oci.image.places_of", only_mirrors)
    with registries(faults) as servers:
        assert refused(cache, order(*servers, limits=replace(QUICK, attempts=2))).id == id


def only_mirrors(*args: object) -> object:
    from installers.core.artifacts.oci.places import places_of

    places, ca = places_of(*args)  # type: ignore[arg-type]
    return places[:-1], ca


def test_no_architecture(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("installers.core.artifacts.oci.image.places_of", only_mirrors)
    with registries(Faults()) as servers:
        failure = refused(cache, order(*servers, arch="riscv64"))
    assert (failure.id, "amd64, arm64" in failure.what) == ("OLR-IMAGE-010", True)


def test_a_reference_to_one_manifest_is_for_its_architecture(cache: Cache) -> None:
    with registries(Faults()) as servers:
        single = replace(order(*servers), reference=f"{HOST}/of/thing:1.2@{THING.manifests['arm64']}", digest="")
        assert refused(cache, single).id == "OLR-IMAGE-010"
        right = fetched_image(replace(single, arch="arm64"), cache=cache, report=silent)
    assert right.file(IMAGE).image == THING.manifests["arm64"]


def test_what_several_places_say_is_told_together(cache: Cache) -> None:
    with registries(Faults(statuses={"/v2/": 404}), Faults(html="/v2/")) as servers:
        failure = refused(cache, order(*servers, limits=replace(QUICK, attempts=1)))
    assert failure.id == "OLR-IMAGE-004"
    assert all(server.url.removeprefix("http://") in failure.what for server in servers)
    assert HOST in failure.what


def test_a_tag_is_asked_over_tls_alone(tmp_path: Path) -> None:
    reference = f"{HOST}/of/thing:1.2"
    with (
        FakeRegistry(THING, Faults(token="t"), TAGS, server_side(tmp_path)) as sealed,  # noqa: S106
        registries(Faults()) as (plain,),
    ):
        mirrors = Registry(HOST, (plain.url, sealed.url), str(tmp_path / "tls.crt"))
        assert digest_served(reference, (mirrors,), limits=QUICK) == THING.index
        assert plain.asked == []
        unknown = replace(mirrors, ca="")
        with pytest.raises(Failure, match="CERTIFICATE_VERIFY_FAILED"):
            digest_served(reference, (unknown,), limits=replace(QUICK, attempts=1))


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (Faults(moved="http://127.0.0.1:1"), "redirected to http://127.0.0.1:1/"),
        (Faults(wrong="/manifests/"), "sent something else"),
    ],
    ids=["led away from TLS", "torn"],
)
def test_what_a_tag_means_is_told_whole_and_over_tls_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Faults, said: str
) -> None:
    monkeypatch.setattr("installers.core.artifacts.oci.image.places_of", only_mirrors)
    with FakeRegistry(THING, faults, TAGS, server_side(tmp_path)) as registry:
        mirrors = Registry(HOST, (registry.url,), str(tmp_path / "tls.crt"))
        with pytest.raises(Failure, match=said):
            digest_served(f"{HOST}/of/thing:1.2", (mirrors,), limits=replace(QUICK, attempts=1))


def test_a_registry_that_moves_its_manifests(cache: Cache) -> None:
    with registries(Faults()) as (there,), registries(Faults(token="t", moved=there.url)) as (here,):  # noqa: S106
        assert fetched_image(order(here), cache=cache, report=silent).files
    assert {shown for _, shown in there.asked} == {""}


def test_a_tag_that_nobody_can_be_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("installers.core.artifacts.oci.image.places_of", only_mirrors)
    with pytest.raises(Failure, match="OLR-IMAGE-012"):
        digest_served(f"{HOST}/of/thing:1.2", (Registry(HOST, ("http://127.0.0.1:1",)),))


def test_a_proxy_is_gone_through(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    with registries(Faults()) as servers:
        monkeypatch.setenv("http_proxy", servers[0].url)
        mirror = Registry(HOST, ("http://mirror.invalid",))
        fetched_image(replace(order(), registries=(mirror,)), cache=cache, report=silent)
        assert all(path.startswith("http://mirror.invalid/v2/of/thing/") for path, _ in servers[0].asked)
