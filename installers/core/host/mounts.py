"""Mount points, from the text of /proc/self/mountinfo."""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\([0-7]{3})")


def mount_points(mountinfo: str) -> tuple[str, ...]:
    """Where something is mounted, in mount order, bind mounts included."""
    return tuple(_ESCAPED.sub(lambda m: chr(int(m[1], 8)), line.split(" ")[4]) for line in mountinfo.splitlines())


def mount_below(mountinfo: str, path: str) -> str | None:
    """A mount point at ``path`` or anywhere below it, or None."""
    return next((point for point in mount_points(mountinfo) if point == path or point.startswith(f"{path}/")), None)
