"""What every host does with files: the same cases on the fake and on this machine below a temporary root."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from installers.core.errors import Failure
from installers.core.host import files
from installers.core.host.files import remove_tree, temporary_name
from installers.core.host.local import LocalHost
from installers.core.host.runner import run_process
from installers.core.host.scopes import Scope
from installers.core.model import Host, Secret
from installers.site import Paths
from tests.fake import FakeHost, FakeMachine

OWN = {"uid": os.getuid(), "gid": os.getgid()}


class NoProcesses:
    """These cases start none."""

    def name(self) -> NoReturn:
        raise AssertionError

    def opened(self, scope: Scope) -> NoReturn:
        raise AssertionError

    def interrupted(self) -> bool:
        return False

    def closed(self, scope: Scope) -> NoReturn:
        raise AssertionError


@pytest.fixture(params=["fake", "local"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "fake":
        yield FakeHost(FakeMachine())
    else:
        yield LocalHost(
            str(tmp_path),
            Paths(),
            scope=NoProcesses(),
            emit_progress=lambda *_: None,
            kubeconfig=str(tmp_path / "none"),
        )


def write(host: Host, path: str, content: bytes = b"x", mode: int = 0o644) -> None:
    host.write(path, content, mode=mode, **OWN)


def mkdir(host: Host, path: str, mode: int = 0o755) -> None:
    host.mkdir(path, mode=mode, **OWN)


def test_a_written_file_has_content_mode_and_owner(host: Host) -> None:
    write(host, "/a", b"one", 0o640)
    stat = host.stat("/a")
    assert stat is not None
    assert (host.read("/a"), stat.permissions, stat.uid, stat.gid, stat.size) == (b"one", 0o640, *OWN.values(), 3)
    assert stat.is_file
    assert not stat.is_dir
    assert host.listdir("/") == ("a",)


@pytest.mark.skipif(sys.platform != "linux", reason="labels are Linux's")
def test_a_file_written_anew_keeps_its_selinux_label(tmp_path: Path) -> None:
    """A real file's; labels are kept by file systems also where SELinux is off, and only root may set them."""
    path, label = tmp_path / "hosts", b"system_u:object_r:net_conf_t:s0\0"
    path.write_text("one")
    try:
        os.setxattr(path, files.LABEL, label)
    except OSError as error:
        pytest.skip(f"no labels in {tmp_path}: {error}")
    files.write(str(path), b"two", mode=0o644, **OWN)
    assert (path.read_text(), os.getxattr(path, files.LABEL)) == ("two", label)


def test_a_file_is_read_and_written_in_pieces(host: Host) -> None:
    host.write("/a", iter((b"one", b"", b"two")), **OWN)
    with host.open("/a") as file:
        assert (file.read(4), file.read()) == (b"onet", b"wo")
    with pytest.raises(FileNotFoundError):
        host.open("/no")


def test_pieces_that_end_in_an_error_leave_what_was_there(host: Host) -> None:
    def cut_off() -> Iterator[bytes]:
        yield b"half"
        raise EOFError

    write(host, "/a", b"whole")
    with pytest.raises(EOFError):
        host.write("/a", cut_off(), **OWN)
    assert (host.listdir("/"), host.read("/a")) == (("a",), b"whole")


def test_a_file_in_pieces_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        files.write(str(tmp_path / "a"), (b"x" * (1 << 20) for _ in range(24)), mode=0o600, **OWN)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "a").stat().st_size == 24 << 20
    assert peak < 4 << 20


def test_modes_do_not_depend_on_the_umask(host: Host) -> None:
    old = os.umask(0o077)
    try:
        write(host, "/a", mode=0o666)
        mkdir(host, "/d", 0o1777)
    finally:
        os.umask(old)
    assert [host.stat(path).permissions for path in ("/a", "/d")] == [0o666, 0o1777]  # type: ignore[union-attr]


def test_writing_replaces_a_link_and_not_what_it_points_to(host: Host) -> None:
    write(host, "/goal", b"kept")
    host.symlink("/link", "goal")
    write(host, "/link", b"new")
    assert (host.read("/goal"), host.read("/link")) == (b"kept", b"new")


def test_writing_needs_the_directory(host: Host) -> None:
    with pytest.raises(FileNotFoundError):
        write(host, "/no/file")
    assert host.listdir("/") == ()


def test_writing_over_a_directory_fails_and_leaves_nothing(host: Host) -> None:
    mkdir(host, "/d")
    with pytest.raises(IsADirectoryError):
        write(host, "/d")
    assert host.listdir("/") == ("d",)


@pytest.mark.parametrize("again", ["write", "remove", "symlink"])
def test_what_a_killed_write_left_goes_with_the_next_change(host: Host, again: str) -> None:
    write(host, temporary_name("/a"), b"half")
    match again:
        case "write":
            write(host, "/a")
        case "remove":
            host.remove("/a")
        case _:
            host.symlink("/a", "b")
    assert host.stat(temporary_name("/a")) is None


def test_nothing_is_there_below_a_file_or_a_missing_directory(host: Host) -> None:
    write(host, "/a")
    assert host.stat("/a/b") is None
    assert host.stat("/no/b") is None
    assert host.listdir("/no") == ()
    with pytest.raises(NotADirectoryError):
        host.listdir("/a")
    with pytest.raises(FileNotFoundError):
        host.read("/no")
    with pytest.raises(IsADirectoryError):
        host.read("/")


def test_links_are_told_from_what_they_point_to(host: Host) -> None:
    mkdir(host, "/d")
    write(host, "/d/a", b"one")
    host.symlink("/l", "d")
    stat = host.stat("/l")
    assert stat is not None
    assert stat.is_link
    assert host.readlink("/l") == "d"
    assert host.read("/l/a") == b"one"
    assert host.listdir("/l") == ("a",)
    host.symlink("/l", "elsewhere")
    assert host.readlink("/l") == "elsewhere"
    with pytest.raises(OSError, match="Invalid argument"):
        host.readlink("/d/a")


def test_a_link_does_not_take_a_directorys_place(host: Host) -> None:
    mkdir(host, "/d")
    with pytest.raises(OSError, match="directory"):
        host.symlink("/d", "x")
    assert host.listdir("/") == ("d",)


def test_making_a_directory_twice_sets_its_mode(host: Host) -> None:
    mkdir(host, "/d", 0o755)
    write(host, "/d/a")
    mkdir(host, "/d", 0o700)
    assert host.stat("/d").permissions == 0o700  # type: ignore[union-attr]
    assert host.listdir("/d") == ("a",)
    with pytest.raises(FileExistsError):
        mkdir(host, "/d/a")
    with pytest.raises(FileNotFoundError):
        mkdir(host, "/no/d")


def test_changing_modes_refuses_links(host: Host) -> None:
    write(host, "/a")
    host.symlink("/l", "a")
    host.chmod("/a", 0o600)
    with pytest.raises(OSError, match="link"):
        host.chmod("/l", 0o777)
    assert host.stat("/a").permissions == 0o600  # type: ignore[union-attr]


def test_the_digest_is_of_the_content(host: Host) -> None:
    write(host, "/a", b"abc")
    assert host.digest("/a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(OSError, match=r"directory|argument"):
        host.digest("/")


def test_moving_takes_the_whole_tree(host: Host) -> None:
    mkdir(host, "/d")
    write(host, "/d/a", b"one")
    host.move("/d", "/e")
    assert (host.stat("/d"), host.read("/e/a")) == (None, b"one")
    with pytest.raises(FileNotFoundError):
        host.move("/d", "/f")


def test_removing_is_idempotent_and_spares_full_directories(host: Host) -> None:
    mkdir(host, "/d")
    write(host, "/d/a")
    with pytest.raises(OSError, match="not empty"):
        host.remove("/d")
    for _ in range(2):
        host.remove("/d/a")
        host.remove("/d")
    host.remove("/no/such")
    assert host.listdir("/") == ()


def test_removing_a_tree_does_not_follow_links(host: Host) -> None:
    mkdir(host, "/kept")
    write(host, "/kept/a")
    mkdir(host, "/d")
    mkdir(host, "/d/e")
    write(host, "/d/e/b")
    host.symlink("/d/out", "../kept")
    for _ in range(2):
        host.remove_tree("/d")
    assert host.listdir("/") == ("kept",)
    assert host.listdir("/kept") == ("a",)


def test_removing_a_link_as_a_tree_removes_the_link(host: Host) -> None:
    mkdir(host, "/kept")
    host.symlink("/l", "kept")
    host.remove_tree("/l")
    assert host.listdir("/") == ("kept",)


def test_values_are_set_in_place_and_only_where_they_exist(host: Host) -> None:
    write(host, "/value", b"0\n")
    before = host.stat("/value")
    host.set("/value", "1")
    after = host.stat("/value")
    assert host.read("/value") == b"1\n"
    assert before is not None
    assert after is not None
    assert before.inode == after.inode
    with pytest.raises(FileNotFoundError):
        host.set("/other", "1")


@pytest.mark.parametrize("path", ["relative", "/a/../b", ""])
def test_only_absolute_paths_are_taken(host: Host, path: str) -> None:
    with pytest.raises(ValueError, match="absolute"):
        host.stat(path)


def test_secrets_are_filled_in_from_the_store(host: Host) -> None:
    for path in ("/var", "/var/lib", "/var/lib/olares", "/var/lib/olares/secrets", "/var/lib/olares/secrets/db"):
        mkdir(host, path)
    write(host, "/var/lib/olares/secrets/db/admin", b"s3cret", 0o600)
    text = f"password={Secret('db/admin')} again={Secret('db/admin', 'base64')} bare=\x02db/admin\x03"
    assert host.reveal(text) == "password=s3cret again=czNjcmV0 bare=s3cret"
    assert host.reveal("none") == "none"
    with pytest.raises(Failure) as missing:
        host.reveal(str(Secret("db/other")))
    assert missing.value.id == "OLR-HOST-007"
    with pytest.raises(ValueError, match="name"):
        host.reveal("\x02db/../../etc/shadow\x03")


def test_free_space_is_told_for_paths_still_to_come(host: Host) -> None:
    assert host.free_bytes("/not/yet/there") > 0


@pytest.mark.processes
@pytest.mark.parametrize("source", ["same device", "another device"])
def test_a_tree_with_a_mount_is_refused_whole_on_this_machine(tmp_path: Path, source: str) -> None:
    (tmp_path / "tree/in").mkdir(parents=True)
    (tmp_path / "tree/first").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/precious").touch()
    bind = ["mount", "--bind", str(tmp_path / "data"), str(tmp_path / "tree/in")]
    argv = bind if source == "same device" else ["mount", "-t", "tmpfs", "none", str(tmp_path / "tree/in")]
    try:
        run_process(argv, timeout=10)
    except Failure:
        pytest.skip("may not mount here: not shown")
    try:
        with pytest.raises(Failure) as failure:
            remove_tree(str(tmp_path / "tree"))
    finally:
        run_process(["umount", str(tmp_path / "tree/in")], timeout=10)
    assert (failure.value.id, failure.value.fields["mount"]) == ("OLR-HOST-006", str(tmp_path / "tree/in"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", "first", "in", "precious", "tree"]
    remove_tree(str(tmp_path / "tree"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", "precious"]
