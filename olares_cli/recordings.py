"""Recordings of machines as files: read whole, written once, readable by their owner only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from installers.core.errors import Failure

if TYPE_CHECKING:
    from installers.core.host.archive import Archive
    from installers.core.host.replay import ReplayProbe

RECORDING = "olares-facts.yaml"
"""The name a recording gets in the current directory when nobody names one."""

FROM = typer.Option("--from", metavar="FILE", help="Read a recording (`facts record`), not this machine.")


def recording(file: str) -> Archive:
    """The recording in a file; ``Failure`` OLR-CLI-002 when it cannot be read, OLR-REC-002 or 003 when it is none."""
    from installers.core.host.archive import decode

    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise Failure("OLR-CLI-002", file=file, reason=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise Failure("OLR-REC-002", file=file, reason="it is not UTF-8 text") from error
    return decode(text, path=file)


def replay(archive: Archive) -> ReplayProbe:
    from installers.core.host.replay import ReplayProbe

    return ReplayProbe(archive)


def save(file: str, text: str) -> None:
    """Write a new file as one step. ``Failure`` OLR-REC-004 when there is one already, 006 when none can be written."""
    path = Path(file).absolute()
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            # A link, unlike a rename, never takes the place of a file somebody else has made meanwhile.
            os.link(temporary, path)
        finally:
            Path(temporary).unlink()
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileExistsError:
        raise Failure("OLR-REC-004", file=file) from None
    except OSError as error:
        raise Failure("OLR-REC-006", file=file, reason=error.strerror or str(error)) from error
