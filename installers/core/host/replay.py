"""``ReplayProbe``: answers from an archive alone, and says plainly what the archive does not hold."""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import threading

from installers.core.errors import Failure
from installers.core.host.archive import Archive, Entry, entry
from installers.core.host.kubeconfig import ADMIN, K3S
from installers.core.host.mounts import mount_devices
from installers.core.host.recording import mode_of
from installers.core.model import ClusterAbsent, Kind, Object, Output, Query, Stat

LINKS = 40
"""Links followed on the way to a path before it is called a loop, as in Linux."""
MOUNTINFO = "/proc/self/mountinfo"
KUBECONFIGS = (ADMIN, K3S)
"""Where engines write the administrator's access to their cluster."""


class ReplayProbe:
    """A host as an archive has it. Nothing of this machine is read.

    What was not recorded is a ``Failure`` OLR-REC-001 naming it, not an ``OSError``: facts take some
    of those for "it is gone". ``missed`` has each such question. Safe to use from several threads.
    """

    def __init__(self, archive: Archive) -> None:
        self._entries = {path: entry(found) for path, found in archive.paths.items()}
        self._above = _directories(self._entries)
        self._whole = tuple(f"{tree.rstrip('/')}/" for tree in archive.whole)
        self._free = archive.free
        self._asked = {Query(row.name, tuple(row.args)): row for row in archive.queries}
        mountinfo = self._entries.get(MOUNTINFO)
        self._devices = mount_devices((mountinfo.text or "") if mountinfo else "")
        self._guard = threading.Lock()
        self.missed: list[str] = []

    def _not_recorded(self, what: str) -> Failure:
        with self._guard:
            self.missed.append(what)
        return Failure("OLR-REC-001", what=what)

    def _find(self, path: str, *, operation: str) -> tuple[str, Entry | None]:
        """A path without links above it, and its entry; None where there is nothing."""
        if not path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"not an absolute path: {path!r}")
        at = path.rstrip("/") or "/"
        for _ in range(LINKS):
            if at in self._entries:
                return at, self._entries[at]
            link = self._link_above(at)
            if link is None:
                break
            target = posixpath.join(posixpath.dirname(link), (self._entries[link] or Entry()).to or "")
            at = posixpath.normpath(target + at.removeprefix(link))
        if at in self._above:
            return at, Entry(type="directory")
        if self._absent(at):
            return at, None
        raise self._not_recorded(f"{operation} of {path}")

    def _link_above(self, path: str) -> str | None:
        for above in _parents(path):
            found = self._entries.get(above)
            if found is not None and found.to is not None:
                return above
        return None

    def _absent(self, path: str) -> bool:
        """Whether the archive says that nothing is there: in so many words, or by what it has of the directories."""
        if path.startswith(self._whole) or f"{path}/" in self._whole:
            return True
        child = path
        for above in _parents(path):
            if above in self._entries:
                found = self._entries[above]
                if found is None:
                    return True
                if found.names is not None and not found.partial and posixpath.basename(child) not in found.names:
                    return True
            child = above
        return False

    def _target(self, path: str, operation: str) -> tuple[str, Entry]:
        """The entry a read goes to: through links, unless the archive has the content with the link."""
        at = path
        for _ in range(LINKS):
            at, found = self._find(at, operation=operation)
            if found is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            if operation in found.errors:
                number = int(getattr(errno, found.errors[operation]))
                raise OSError(number, os.strerror(number), path)
            if found.to is None or found.content is not None or found.names is not None:
                return at, found
            at = posixpath.normpath(posixpath.join(posixpath.dirname(at), found.to))
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def read(self, path: str) -> bytes:
        _, found = self._target(path, "read")
        if found.type == "directory":
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if found.content is None:
            raise self._not_recorded(f"content of {path}")
        return found.content

    def stat(self, path: str) -> Stat | None:
        at, found = self._find(path, operation="stat")
        if found is None:
            return None
        if "stat" in found.errors:
            number = int(getattr(errno, found.errors["stat"]))
            raise OSError(number, os.strerror(number), path)
        device = found.device
        if device is None:
            device = self._device(at)
        size = found.size if found.size is not None else len(found.content or b"") if found.type == "file" else 0
        return Stat(mode_of(at, found), found.uid, found.gid, size, device, found.inode)

    def _device(self, path: str) -> int:
        for above in (path, *_parents(path)):
            if above in self._devices:
                return self._devices[above]
        return 0

    def listdir(self, path: str) -> tuple[str, ...]:
        try:
            at, found = self._target(path, "listdir")
        except FileNotFoundError:
            return ()
        if found.names is not None:
            return tuple(found.names)
        if found.type == "directory" and (f"{at.rstrip('/')}/").startswith(self._whole):
            inside = f"{at.rstrip('/')}/"
            rows = (name for name, there in self._entries.items() if name.startswith(inside) and there is not None)
            return tuple(sorted({name.removeprefix(inside).split("/")[0] for name in rows}))
        if found.type not in ("directory", "link"):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        raise self._not_recorded(f"names in {path}")

    def readlink(self, path: str) -> str:
        _, found = self._find(path, operation="link")
        if found is None or "readlink" in found.errors:
            number = int(getattr(errno, found.errors["readlink"])) if found else errno.ENOENT
            raise OSError(number, os.strerror(number), path)
        if found.to is not None:
            return found.to
        if found.type != "link":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        raise self._not_recorded(f"target of {path}")

    def digest(self, path: str) -> str:
        _, found = self._target(path, "digest")
        if found.digest:
            return found.digest
        if found.content is None:
            raise self._not_recorded(f"digest of {path}")
        return hashlib.sha256(found.content).hexdigest()

    def free_bytes(self, path: str) -> int:
        if path in self._free:
            return self._free[path]
        # Whatever lies on one file system has the same room.
        device = self._device(path)
        for other, free in sorted(self._free.items()):
            if self._devices and self._device(other) == device:
                return free
        raise self._not_recorded(f"free space at {path}")

    def query(self, query: Query) -> Output:
        row = self._asked.get(query)
        if row is None:
            raise self._not_recorded(f"answer of {' '.join((query.name, *query.args))}")
        if row.failure:
            raise Failure(row.failure, **row.fields)
        return Output(row.code, row.stdout, row.stderr)

    def objects(self, kind: Kind) -> tuple[Object, ...]:
        """None are recorded; but a host without any engine's kubeconfig has no cluster to ask."""
        if all(self._absent(path) or self._entries.get(path, path) is None for path in KUBECONFIGS):
            raise ClusterAbsent(f"there is no {' and no '.join(KUBECONFIGS)}")
        raise self._not_recorded(f"objects of kind {kind.name}")


def _parents(path: str) -> tuple[str, ...]:
    """The directories above a path, the nearest first, the root last."""
    found = []
    while path != "/":
        path = posixpath.dirname(path)
        found.append(path)
    return tuple(found)


def _directories(entries: dict[str, Entry | None]) -> frozenset[str]:
    """Everything that must be a directory, since something lies below it."""
    return frozenset(above for path, found in entries.items() if found is not None for above in _parents(path))
