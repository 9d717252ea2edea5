"""A publisher's keys: made once, theirs alone, changed without losing those who trust them."""

from __future__ import annotations

from pathlib import Path

import pytest

from installers.core.artifacts.depot.keys import publisher, rotated
from installers.core.artifacts.depot.open import nothing
from installers.core.artifacts.depot.publish import sign
from installers.core.errors import Failure
from tests.unit.core.artifacts.depot.conftest import Workplace


def test_keys_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    first = publisher(tmp_path / "keys")
    assert publisher(tmp_path / "keys").fingerprint == first.fingerprint
    keys = list((tmp_path / "keys/1").iterdir())
    assert {path.name for path in keys} == {"root.pem", "depot.pem"}
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert (tmp_path / "keys/1").stat().st_mode & 0o777 == 0o700


def test_no_key_is_ever_in_the_depot(workplace: Workplace) -> None:
    secrets = [path.read_bytes() for path in (workplace.folder / "keys/1").iterdir()]
    for path in workplace.depot.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"PRIVATE" not in content
            assert not any(secret in content for secret in secrets)


def test_a_change_of_keys_keeps_the_name_and_drops_the_old_keys(tmp_path: Path) -> None:
    old = publisher(tmp_path / "keys")
    new = rotated(tmp_path / "keys")
    assert new.fingerprint == old.fingerprint
    assert new.root.public_key.keyid != old.root.public_key.keyid
    assert not (tmp_path / "keys/1").exists()
    again = publisher(tmp_path / "keys")
    assert (len(again.roots), again.depot.public_key) == (2, new.depot.public_key)


def test_a_change_that_was_killed_before_its_root_was_written_is_none(tmp_path: Path) -> None:
    old = publisher(tmp_path / "keys")
    rotated(tmp_path / "copy")
    (tmp_path / "copy/2").rename(tmp_path / "keys/2")
    assert publisher(tmp_path / "keys").depot.public_key == old.depot.public_key
    assert len(rotated(tmp_path / "keys").roots) == 2


@pytest.mark.parametrize("harm", ["readable", "missing", "garbage", "foreign"])
def test_keys_that_cannot_be_used_are_refused_and_not_made_anew(tmp_path: Path, harm: str) -> None:
    publisher(tmp_path / "keys")
    path = tmp_path / "keys/1/depot.pem"
    if harm == "readable":
        path.chmod(0o644)
    elif harm == "missing":
        path.unlink()
    elif harm == "garbage":
        path.write_text("no key")
    else:
        publisher(tmp_path / "others")
        path.write_bytes((tmp_path / "others/1/depot.pem").read_bytes())
    with pytest.raises(Failure) as found:
        publisher(tmp_path / "keys")
    assert (found.value.id, str(tmp_path) in found.value.what) == ("OLR-BND-015", True)


@pytest.mark.parametrize("name", ["notes.txt", "built/../x", "fetched", "sub/contents.json"])
def test_what_has_no_place_in_a_depot_is_not_signed(workplace: Workplace, name: str) -> None:
    path = workplace.depot / name
    if name == "fetched":
        (workplace.depot / "fetched/link").symlink_to("/etc/passwd")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    if name == "built/../x":
        name = "x"
    with pytest.raises(Failure) as found:
        sign(workplace.depot, workplace.publisher, nothing)
    assert found.value.id == "OLR-BND-008"
