"""A depot as one file: ``.tar.zst``, metadata first, so that a reader can judge before it reads on."""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path
from typing import IO, cast

from installers.core.artifacts.depot.contents import FILE, METADATA
from installers.core.artifacts.disk import sync
from installers.core.artifacts.report import Report

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 3
"""Most of a depot is compressed already; higher levels cost minutes and save a few per cent."""


def pack(folder: Path, to: Path, report: Report) -> None:
    """Write a signed depot directory as one file, whole or not at all. The same directory gives the same tar."""
    names = sorted((p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()), key=_order)
    total, done = sum((folder / name).stat().st_size for name in names), 0
    beside = to.with_name(f".{to.name}.new")
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: LEVEL,
        zstd.CompressionParameter.checksum_flag: 1,
        zstd.CompressionParameter.nb_workers: min(4, os.cpu_count() or 1),
    }
    try:
        with zstd.open(beside, "wb", options=options) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
            for name in names:
                _add(tar, folder / name, name)
                done += (folder / name).stat().st_size
                report(done, total, "bytes", f"packing {name}")
        sync(beside)
        beside.rename(to)
        sync(to.parent)
    finally:
        beside.unlink(missing_ok=True)


def _order(name: str) -> tuple[int, str]:
    return (0 if name.startswith(f"{METADATA}/") else 1 if name == FILE else 2, name)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    with path.open("rb") as file:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = os.fstat(file.fileno()).st_size, 0o644
        tar.addfile(entry, file)


def opened(path: Path) -> IO[bytes]:
    """The tar inside a packed depot, to be read once from its beginning; errors as ``zstd.ZstdError`` or ``EOFError``.

    A frame that asks for more than 128 MiB of memory is refused (zstd's own default).
    """
    return cast(IO[bytes], zstd.open(path, "rb"))


BROKEN = (zstd.ZstdError, EOFError, tarfile.TarError)
"""What reading a packed depot ends with when it is none, or cut short."""
