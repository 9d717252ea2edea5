"""The index as shipped is sound, and a wrong one is refused."""

from __future__ import annotations

import base64
import re

import msgspec
import pytest

from installers.core.artifacts.index import Registry, index, parse_index, pinned
from installers.core.errors import Failure

_ROW = """
artifacts:
  thing:
    registry: pypi
    version: "1.0"
    files:
      amd64: {file: thing.whl, size: 3, sha256: abc}
"""


def test_every_digest_and_size_is_well_formed() -> None:
    for name, artifact in index().artifacts.items():
        assert artifact.files, name
        assert set(artifact.files) <= {"amd64", "arm64", "all"}, name
        for file in artifact.files.values():
            rows = [(file.sha256, file.size), *((m.sha256, m.size) for m in file.members.values())]
            assert all(re.fullmatch(r"[0-9a-f]{64}", sha256) and size > 0 for sha256, size in rows), name
            assert artifact.version in file.file.replace("_", "-"), name
            if artifact.registry is Registry.NPM:
                assert len(base64.b64decode(file.integrity.removeprefix("sha512-"))) == 64, name


def test_everything_is_there_for_amd64() -> None:
    for name in index().artifacts:
        assert pinned(name, arch="amd64").file.size


def test_two_versions_of_a_file_do_not_share_a_place() -> None:
    entries = [pinned(name, arch=arch).entry for name in index().artifacts for arch in ("amd64", "arm64")]
    digests = [pinned(name, arch=arch).file.sha256 for name in index().artifacts for arch in ("amd64", "arm64")]
    assert len(set(entries)) == len(set(digests))


def test_a_missing_architecture_is_named() -> None:
    with pytest.raises(Failure) as caught:
        pinned("thing", arch="riscv64", among=parse_index(_ROW))
    assert caught.value.id == "OLR-ART-001"
    assert "thing for riscv64" in caught.value.what


@pytest.mark.parametrize(
    ("old", "new"),
    [("size: 3", 'size: "3"'), ("file: thing", "url: thing"), ("registry: pypi", "registry: other"), ("size: 3,", "")],
)
def test_a_wrong_index_is_refused(old: str, new: str) -> None:
    assert parse_index(_ROW).artifacts
    with pytest.raises(msgspec.ValidationError):
        parse_index(_ROW.replace(old, new))
