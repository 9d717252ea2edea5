"""Mount points, from the text of /proc/self/mountinfo."""

from __future__ import annotations

import os
import re

_ESCAPED = re.compile(r"\\([0-7]{3})")


def mount_points(mountinfo: str) -> tuple[str, ...]:
    """Where something is mounted, in mount order, bind mounts included."""
    return tuple(_ESCAPED.sub(lambda m: chr(int(m[1], 8)), line.split(" ")[4]) for line in mountinfo.splitlines())


def mount_below(mountinfo: str, path: str) -> str | None:
    """A mount point at ``path`` or anywhere below it, or None."""
    return next((point for point in mount_points(mountinfo) if point == path or point.startswith(f"{path}/")), None)


def mount_devices(mountinfo: str) -> dict[str, int]:
    """Device number of what is mounted, by mount point; of mounts at one place the last counts."""
    found = {}
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        major, _, minor = fields[2].partition(":")
        found[_ESCAPED.sub(lambda m: chr(int(m[1], 8)), fields[4])] = os.makedev(int(major), int(minor))
    return found
