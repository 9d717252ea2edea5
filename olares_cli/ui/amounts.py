"""Amounts as people read them."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes: ``512 B``, ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def duration(seconds: float) -> str:
    """Seconds: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 04 min``, ``3 d``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d"


def amount(done: int, total: int, unit: str) -> str:
    """How far something is; a total of 0 is unknown."""
    if unit == "bytes":
        return f"{size(done)} of {size(total)}" if total else size(done)
    return f"{done} of {total} {unit}" if total else f"{done} {unit}"


def counted(count: int, one: str, many: str = "") -> str:
    """``1 change``, ``2 changes``."""
    return f"{count} {one if count == 1 else many or one + 's'}"
