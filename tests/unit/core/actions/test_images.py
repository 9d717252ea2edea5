from __future__ import annotations

import pytest

from installers.core.actions.images import ImportImage, RestoreImage
from installers.core.errors import Failure
from installers.core.facts.images import SOCKET
from installers.core.model import DONE, Left
from tests.fake import FakeHost, FakeMachine, debian

NAME, ARCHIVE = "k8s.gcr.io/pause:3.2", "/var/cache/olares/pause.tar"
OLD, NEW, OTHER = (f"sha256:{letter * 64}" for letter in "abc")
IMPORT = ImportImage(NAME, ARCHIVE, NEW)


@pytest.fixture
def machine() -> FakeMachine:
    machine = debian()
    machine.tree.file(SOCKET, "")
    machine.tree.file(ARCHIVE, "an archive\n")
    machine.archives[ARCHIVE] = {NAME: NEW}
    return machine


@pytest.mark.parametrize("before", [{}, {NAME: OLD}, {NAME: NEW}])
def test_import_and_back(machine: FakeMachine, before: dict[str, str]) -> None:
    host = FakeHost(machine)
    machine.images.update(before)
    back = IMPORT.inverse(host)
    assert isinstance(back, RestoreImage)
    assert IMPORT.execute(host) == DONE
    assert machine.images[NAME] == NEW
    for _ in range(2):
        assert back.execute(host) == DONE
        assert machine.images == ({} if before == {NAME: NEW} else before)


def test_another_image_by_now_stays(machine: FakeMachine) -> None:
    host = FakeHost(machine)
    back = IMPORT.inverse(host)
    assert isinstance(back, RestoreImage)
    machine.images[NAME] = OTHER
    assert isinstance(back.execute(host), Left)
    assert machine.images == {NAME: OTHER}


def test_an_archive_with_something_else_is_refused(machine: FakeMachine) -> None:
    machine.archives[ARCHIVE] = {NAME: OTHER}
    with pytest.raises(Failure, match="OLR-IMAGE-003"):
        IMPORT.execute(FakeHost(machine))


def test_the_archive_is_gone(machine: FakeMachine) -> None:
    machine.tree.unlink(ARCHIVE)
    with pytest.raises(Failure, match="OLR-IMAGE-002"):
        IMPORT.execute(FakeHost(machine))
