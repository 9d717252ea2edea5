"""A publisher's keys: made at first use, root-only, with the chain of roots that tells of each change.

::

    <keys>/N.root.json      the roots so far, public; the first one's sha256 is the publisher's fingerprint
    <keys>/N/root.pem       the key that signs roots      } of the latest root only
    <keys>/N/depot.pem      the key that signs depots     }
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from installers.core.artifacts.depot.trust import fingerprint
from installers.core.artifacts.disk import remove, sync, write_whole
from installers.core.errors import Failure

DEFAULT = Path("/etc/olares/keys")

ROOT_VALID = timedelta(days=10 * 365)
"""A root that has expired makes every depot of its publisher unusable where nobody can fetch a newer one."""

_SIGNS = (Targets.type, Snapshot.type, Timestamp.type)
_NAMES = ("root", "depot")


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who signs: the chain of roots, oldest first, and the two keys of the latest."""

    folder: Path
    roots: tuple[bytes, ...]
    root: CryptoSigner
    depot: CryptoSigner

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.roots[0])


def publisher(folder: Path = DEFAULT) -> Publisher:
    """The publisher of a key directory, made there when it has none. ``OLR-BND-015`` for keys that cannot be used."""
    version = _latest(folder)
    return _load(folder, version) if version else _renewed(folder, ())


def rotated(folder: Path = DEFAULT) -> Publisher:
    """The same publisher with new keys and ten more years: a new root, signed by the old key and the new one."""
    old = publisher(folder)
    new = _renewed(folder, old.roots, signers=(old.root,))
    remove(folder / str(len(old.roots)))
    return new


def _latest(folder: Path) -> int:
    found = [name for path in folder.glob("*.root.json") if (name := path.name.split(".")[0]).isdigit()]
    return max(map(int, found), default=0)


def _load(folder: Path, version: int) -> Publisher:
    try:
        roots = tuple((folder / f"{number}.root.json").read_bytes() for number in range(1, version + 1))
        root, depot = (_key(folder / str(version) / f"{name}.pem") for name in _NAMES)
        latest = Metadata[Root].from_bytes(roots[-1]).signed
    except Failure:
        raise
    except Exception as error:
        # cryptography, tuf and the file system each have their own words for a file that is none of theirs.
        raise Failure("OLR-BND-015", folder=folder, reason=f"{error}" or type(error).__name__) from error
    wanted = (*latest.roles[Root.type].keyids, *latest.roles[Targets.type].keyids)
    if wanted != (root.public_key.keyid, depot.public_key.keyid):
        raise Failure("OLR-BND-015", folder=folder, reason=f"the keys are not those of {version}.root.json")
    return Publisher(folder, roots, root, depot)


def _key(path: Path) -> CryptoSigner:
    stat = path.stat()
    if stat.st_mode & 0o077 or stat.st_uid != os.geteuid():
        raise Failure("OLR-BND-015", folder=path.parent.parent, reason=f"{path} can be read by others, or is theirs")
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise Failure("OLR-BND-015", folder=path.parent.parent, reason=f"{path} is no ed25519 key")
    return CryptoSigner(key)


def _renewed(folder: Path, roots: tuple[bytes, ...], *, signers: Sequence[CryptoSigner] = ()) -> Publisher:
    """New keys and the root that names them; the root comes last, so that what a killed call left is never in use."""
    version = len(roots) + 1
    keys = {name: CryptoSigner.generate_ed25519() for name in _NAMES}
    place = folder / str(version)
    remove(place)
    place.mkdir(parents=True, mode=0o700)
    place.chmod(0o700)
    for name, key in keys.items():
        write_whole(place / f"{name}.pem", key.private_bytes.decode(), mode=0o600)
    signed = Root(version=version, expires=_later(ROOT_VALID), consistent_snapshot=True)
    signed.add_key(keys["root"].public_key, Root.type)
    for role in _SIGNS:
        signed.add_key(keys["depot"].public_key, role)
    metadata = Metadata(signed)
    for signer in (*signers, keys["root"]):
        metadata.sign(signer, append=True)
    content = metadata.to_bytes()
    write_whole(folder / f"{version}.root.json", content.decode(), mode=0o644)
    sync(folder)
    return Publisher(folder, (*roots, content), keys["root"], keys["depot"])


def _later(time: timedelta) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + time
