# The os functions name the system call they make and work on open directories:
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH119, PTH120, PTH123, PTH208, PTH211
"""Changes to files that are whole or not there: temporary name, fsync, rename, fsync of the directory.

Paths here are real paths of this machine. The temporary name follows from the final one, so that
what a killed write left behind is found by the next write or removal of the same path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from installers.core.errors import Failure
from installers.core.host.mounts import mount_below

LABEL = "security.selinux"
"""The extended attribute a file's SELinux label lies in."""


def temporary_name(path: str) -> str:
    """The name a write of ``path`` uses before its rename, in the same directory."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.olares-{hashlib.sha256(name.encode()).hexdigest()[:16]}.new"


def sync_directory(path: str) -> None:
    """Make a directory's entries durable; a kernel's own file system (cgroups) has nothing to flush."""
    descriptor = os.open(path or "/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _staged(path: str) -> Iterator[str]:
    """A temporary name to fill; renamed over ``path`` at the end, gone after an error."""
    temporary = temporary_name(path)
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    try:
        yield temporary
        os.rename(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def write(path: str, content: bytes | Iterable[bytes], *, mode: int, uid: int, gid: int) -> None:
    """Replace a file; owner and mode are right before it appears under its name."""
    with _staged(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
            _keep_label(path, descriptor)
            file.writelines((content,) if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(descriptor)


def _keep_label(path: str, descriptor: int) -> None:
    """Give the new file the SELinux label of the one it replaces, as editors do: /etc/hosts has another than /etc.

    Where the label cannot be given (no such file yet, no labels here) the directory's stands, as for any new file.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setxattr(descriptor, LABEL, os.getxattr(path, LABEL, follow_symlinks=False))


def symlink(path: str, target: str) -> None:
    """Put a link in place of a file or link; a directory there is an ``OSError``."""
    with _staged(path) as temporary:
        os.symlink(target, temporary)


def mkdir(path: str, *, mode: int, uid: int, gid: int) -> None:
    """Make one directory, or give an existing one this mode and owner."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise
    os.chown(path, uid, gid, follow_symlinks=False)
    os.chmod(path, mode)
    sync_directory(os.path.dirname(path))


def move(source: str, destination: str) -> None:
    """Rename within one file system and make both directories durable."""
    os.rename(source, destination)
    for folder in {os.path.dirname(source), os.path.dirname(destination)}:
        sync_directory(folder)


def remove(path: str) -> None:
    """Remove a file, link or empty directory and what a killed write of it left."""
    for name in (temporary_name(path), path):
        try:
            if stat.S_ISDIR(os.lstat(name).st_mode):
                os.rmdir(name)
            else:
                os.unlink(name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        sync_directory(os.path.dirname(name))


def remove_tree(path: str) -> None:
    """Remove a directory and all below it; refused whole where something is mounted in it.

    Works on open directories, so that a link put in the way meanwhile is removed, not followed.
    """
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISDIR(status.st_mode):
        remove(path)
        return
    mount = mount_below(Path("/proc/self/mountinfo").read_text(), os.path.realpath(path))
    if mount is not None:
        raise Failure("OLR-HOST-006", path=path, mount=mount)
    parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        _remove_entry(parent, os.path.basename(path), path, status.st_dev)
        os.fsync(parent)
    finally:
        os.close(parent)


def _remove_entry(parent: int, name: str, path: str, device: int) -> None:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    if status.st_dev != device:
        raise Failure("OLR-HOST-006", path=path, mount=path)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        for entry in os.listdir(folder):
            _remove_entry(folder, entry, f"{path}/{entry}", device)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=parent)


def set_value(path: str, value: str) -> None:
    """Write a kernel file in one call, as sysctl and cgroup files want it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
    try:
        os.write(descriptor, value.encode() + b"\n")
    finally:
        os.close(descriptor)
