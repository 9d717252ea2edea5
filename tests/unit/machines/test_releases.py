"""Machines of several Debian releases: which there are, where their roots lie, who is refused."""

from __future__ import annotations

import pytest

from installers.core.errors import Failure
from installers.machines import resources
from installers.machines.actions import BuildBase, UnpackBase
from installers.machines.base import base_root, releases
from installers.machines.driver import CODEC, Driver
from installers.machines.layout import planned
from installers.site import Paths

PATHS = Paths()


def test_debian_12_is_what_a_machine_gets_unless_told_otherwise() -> None:
    assert releases() == ("bookworm", "trixie")


def test_each_release_has_a_root_and_an_archive_of_its_own() -> None:
    roots = [base_root(release) for release in releases()]
    assert len({root.key for root in roots}) == len({root.name for root in roots}) == len(roots)
    for release in releases():
        keys = {resource.key for resource in resources.shared(PATHS, release)}
        assert f"base:{PATHS.state}/base/{base_root(release).name}" in keys
        assert f"base-archive:machine-base-{base_root(release).key[:16]}" in keys


def test_a_machine_knows_its_release_from_its_root() -> None:
    for release in releases():
        base = resources.base_directory(PATHS, release)
        assert planned("one", existing=(), paths=PATHS, base=base).release == release


def test_the_release_of_a_machine_that_is_there_stays() -> None:
    there = planned("one", existing=(), paths=PATHS, base=resources.base_directory(PATHS, "bookworm"))
    again = planned("one", existing=(there,), paths=PATHS, base=resources.base_directory(PATHS, "trixie"))
    assert again == there


def test_a_release_nobody_knows_is_refused_before_anything_is_looked_at() -> None:
    with pytest.raises(Failure) as caught:
        Driver(PATHS, lambda event: None).create("one", release="sid")
    assert caught.value.id == "OLR-MACH-007"
    assert "bookworm, trixie" in str(caught.value)


@pytest.mark.parametrize("kind", ["build-base", "unpack-base"])
def test_what_was_stored_before_there_were_others_is_debian_12(kind: str) -> None:
    stored = {
        "build-base": '{"cache": "/c", "ledger": "/l", "key": "k"}',
        "unpack-base": '{"archive": "/a", "directory": "/d"}',
    }
    action = CODEC.decode((kind, 1, stored[kind]))
    assert isinstance(action, BuildBase | UnpackBase)
    assert action.release == "bookworm"
