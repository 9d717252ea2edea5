from __future__ import annotations

from installers.core.actions.secrets import ALPHABET, GenerateSecret
from installers.core.model import DONE, Action, Kept, Secret
from installers.site import Paths
from tests.fake import FakeHost, debian

PATH = f"{Paths().secrets}/postgres/admin"


def test_made_once_and_removed() -> None:
    machine = debian()
    host = FakeHost(machine)
    action = GenerateSecret("postgres/admin", 40)
    back = action.inverse(host)
    assert isinstance(back, Action)
    action.execute(host)
    value = host.read(PATH).decode()
    assert len(value) == 40
    assert set(value) <= set(ALPHABET)
    action.execute(host)
    assert host.read(PATH).decode() == value
    assert host.reveal(f"x{Secret('postgres/admin')}") == f"x{value}"
    modes = [
        (stat := host.stat(path)) and stat.permissions for path in (PATH, PATH.rpartition("/")[0], Paths().secrets)
    ]
    assert modes == [0o600, 0o700, 0o700]
    for _ in range(2):
        assert back.execute(host) == DONE
        assert host.stat(Paths().secrets) is None


def test_two_are_never_the_same() -> None:
    host = FakeHost(debian())
    for name in ("a", "b"):
        GenerateSecret(name, 32).execute(host)
    assert host.read(f"{Paths().secrets}/a") != host.read(f"{Paths().secrets}/b")


def test_one_that_opens_user_data_is_kept() -> None:
    host = FakeHost(debian())
    action = GenerateSecret("postgres/admin", 32, keep=True)
    back = action.inverse(host)
    assert isinstance(back, Action)
    assert back.execute(host) == DONE, "nothing was made, so nothing is kept"
    action.execute(host)
    assert isinstance(back.execute(host), Kept)
    assert host.stat(PATH) is not None


def test_a_neighbour_keeps_its_directory() -> None:
    machine = debian()
    host = FakeHost(machine)
    action = GenerateSecret("postgres/admin", 32)
    action.execute(host)
    machine.tree.file(f"{Paths().secrets}/postgres/other", "x")
    back = action.inverse(host)
    assert isinstance(back, Action)
    back.execute(host)
    assert host.listdir(f"{Paths().secrets}/postgres") == ("other",)
