"""Files and directories of ours on disk: written whole, flushed, removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def free_bytes(where: Path) -> int:
    """Free space for root where a path lies or would lie."""
    while not where.exists():
        where = where.parent
    return shutil.disk_usage(where).free


def write_whole(path: Path, text: str, *, mode: int) -> None:
    """Replace a file as one step."""
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    beside.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file, or a directory's list of names, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Flush a file, or all files and directories below a directory, to disk."""
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            sync_tree(child)
    if not path.is_symlink():
        sync(path)


def remove(path: Path) -> None:
    """Remove a file or a tree of ours; nothing happens when it is gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
