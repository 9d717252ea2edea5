"""A cpio archive of the kind the kernel takes as its first root, since Debian's base has no cpio program."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Iterator
from pathlib import Path

END = "TRAILER!!!"


def archive(root: Path) -> bytes:
    """Everything below a directory, in the "newc" format, all owned by root."""
    numbers = itertools.count(1)
    return b"".join(_member(next(numbers), *row) for row in (*_members(root), (END, 0, b"")))


def _members(root: Path) -> Iterator[tuple[str, int, bytes]]:
    """Name, mode and content; a directory before what is in it."""
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        content = b""
        if stat.S_ISLNK(mode):
            content = str(path.readlink()).encode()
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
        yield str(path.relative_to(root)), mode, content


def _member(number: int, name: str, mode: int, content: bytes) -> bytes:
    label = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, four device numbers, length of the name, checksum
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(label), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + label) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
