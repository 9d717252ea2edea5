"""References, names in a runtime, places to ask, keys and archives."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from installers.core.artifacts.oci.archive import index, write
from installers.core.artifacts.oci.documents import MANIFEST, Descriptor
from installers.core.artifacts.oci.places import places_of
from installers.core.artifacts.oci.planned import served
from installers.core.artifacts.reference import Name, names, parts, pinned_as
from installers.site import Registry

DIGEST, OTHER = f"sha256:{'ab' * 32}", f"sha256:{'cd' * 32}"


@pytest.mark.parametrize(
    ("reference", "found", "called"),
    [
        ("a.example/b/c:1.2", Name("a.example", "b/c", "1.2", ""), ("a.example/b/c:1.2",)),
        (
            f"a.example:5000/b:1.2@{DIGEST}",
            Name("a.example:5000", "b", "1.2", DIGEST),
            (f"a.example:5000/b@{DIGEST}", "a.example:5000/b:1.2"),
        ),
    ],
)
def test_a_reference_in_parts(reference: str, found: Name, called: tuple[str, ...]) -> None:
    assert parts(reference) == found
    assert names(reference) == called


def test_a_digest_of_its_own_counts() -> None:
    assert pinned_as("a.example/b:1", DIGEST) == f"a.example/b:1@{DIGEST}"
    assert pinned_as(f"a.example/b:1@{OTHER}", DIGEST) == f"a.example/b:1@{OTHER}"
    assert pinned_as("a.example/b:1", "") == "a.example/b:1"


def test_an_image_is_another_one_by_digest_and_architecture_alone() -> None:
    by_tag = served("a.example/b:1", DIGEST, "amd64")
    others = [
        served("a.example/b:1", OTHER, "amd64"),
        served("a.example/b:1", DIGEST, "arm64"),
        served("a.example/b:1", "", "amd64"),
        # of the same bytes, but with one name more
        served(f"a.example/b:1@{DIGEST}", "", "amd64"),
    ]
    assert len({one.key for one in (by_tag, *others)}) == 5
    assert served("a.example/b:1", DIGEST, "amd64") == by_tag
    assert served(f"a.example/b:1@{DIGEST}", OTHER, "amd64") == others[-1]
    assert {one.name for one in (by_tag, *others)} == {"images/a.example/b-1"}
    assert (by_tag.recipe.reference, by_tag.recipe.aliases) == ("a.example/b:1", ())
    assert others[-1].recipe.aliases == ("a.example/b:1",)


def test_a_key_stays_what_it_was() -> None:
    """Bundles that were made name it."""
    key = served(f"a.example/b:1@{DIGEST}", "", "amd64").key
    assert key == "9ef7179ef040464887113524bbc34a47543bedc248dfef03f71e2cb1da65fb9d"


def test_places_in_their_order() -> None:
    mirrors = (
        Registry("b.example", ("https://not.example",)),
        Registry("a.example:5000", ("https://m.example/", "http://n.example/v2/all"), "/etc/ca.pem"),
    )
    places, ca = places_of(parts("a.example:5000/b/c:1"), mirrors)
    assert ca == "/etc/ca.pem"
    assert [one.manifest("1") for one in places] == [
        "https://m.example/v2/b/c/manifests/1?ns=a.example%3A5000",
        "http://n.example/v2/all/b/c/manifests/1?ns=a.example%3A5000",
        "https://a.example:5000/v2/b/c/manifests/1",
    ]
    assert [one.sealed for one in places] == [True, False, True]
    assert places[0].has("https://m.example/v2/b/c/blobs/x")
    assert not places[0].has("https://m.example/v2/b/cc/blobs/x")


def test_a_registry_whose_api_is_elsewhere() -> None:
    (place,), ca = places_of(parts("docker.io/library/x:1"), ())
    assert (place.name, ca) == ("registry-1.docker.io", "")


def test_an_archive_is_the_same_bytes_whenever_and_wherever_it_is_written(tmp_path: Path) -> None:
    blobs = []
    for number in (1, 2):
        (tmp_path / f"{number}").write_bytes(bytes([number]) * 1000)
        blobs.append((f"{number:064x}", tmp_path / f"{number}"))
    manifest = Descriptor(MANIFEST, DIGEST, 1000)
    contents = []
    for name in ("a", "b"):
        write(tmp_path / name, index(manifest, "amd64", ("x:1", f"x@{DIGEST}")), [*blobs, blobs[0]])
        contents.append((tmp_path / name).read_bytes())
        (tmp_path / "1").touch()
    assert contents[0] == contents[1]
    with tarfile.open(tmp_path / "a") as archive:
        rows = archive.getmembers()
        text = archive.extractfile("index.json")
        assert text
        found = json.loads(text.read())
    assert [row.name for row in rows] == [
        "oci-layout",
        "index.json",
        *(f"blobs/sha256/{sha256}" for sha256, _ in blobs),
    ]
    assert {(row.mtime, row.uid, row.gid, row.uname, row.mode) for row in rows} == {(0, 0, 0, "", 0o644)}
    assert [row["annotations"]["io.containerd.image.name"] for row in found["manifests"]] == ["x:1", f"x@{DIGEST}"]
    assert {row["platform"]["architecture"] for row in found["manifests"]} == {"amd64"}
