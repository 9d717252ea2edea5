"""What to do about a claim or a volume on this node. Pure: objects and what lies on disk in, a decision out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from lightkube.models.core_v1 import (
    LocalVolumeSource,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ObjectReference,
    PersistentVolumeClaimSpec,
    PersistentVolumeSpec,
    VolumeNodeAffinity,
)
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import PersistentVolume, PersistentVolumeClaim
from lightkube.resources.storage_v1 import StorageClass

PROVISIONER = "local.olares.io/volumes"
OWNER = "local.olares.io/owner"
"""Annotation of a claim: `uid:gid` of a new directory. Default 0:0."""
MODE = "local.olares.io/mode"
"""Annotation of a claim: octal mode of a new directory. Default 1777: any user of a pod may write, none may remove
another's files; the directory above it is closed to the host's own users."""
RECLAIM = "local.olares.io/reclaim"
"""Annotation of a claim: Retain or Delete, instead of its class's policy."""

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
HOSTNAME = "kubernetes.io/hostname"
GRACE = 2.0
"""Seconds a node leaves to others that may hold the claim's data already, where there are others."""
_PART = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True)
class Here:
    """This node."""

    name: str
    hostname: str
    """Value of its label kubernetes.io/hostname."""
    nodes: frozenset[str]
    """Names of all nodes."""
    root: Path
    """The directory of all volumes, the same path on the host and in the pod."""

    def directory(self, namespace: str, claim: str) -> Path:
        """A claim's directory; refuses names that would lead elsewhere."""
        if not (_PART.fullmatch(namespace) and _PART.fullmatch(claim)):
            raise ValueError(f"not a claim's name: {namespace}/{claim}")
        return self.root / namespace / claim


@dataclass(frozen=True)
class Provision:
    """Make the directory (or adopt it) and a volume that is bound to the claim."""

    directory: Path
    adopt: bool
    owner: tuple[int, int]
    mode: int
    reclaim: str


@dataclass(frozen=True)
class Remove:
    """Remove the directory and everything in it, then the volume."""

    directory: Path


@dataclass(frozen=True)
class Forget:
    """Remove the volume object only: its directory belongs to a newer claim of the same name, or is gone."""

    why: str


@dataclass(frozen=True)
class Refuse:
    """Nothing to be done, and the claim's owner must know why."""

    why: str


@dataclass(frozen=True)
class Ignore:
    """Nothing to be done by this node now."""

    why: str


def for_claim(
    claim: PersistentVolumeClaim,
    storage: StorageClass | None,
    volumes: Iterable[PersistentVolume],
    here: Here,
    present: bool,
    age: float,
) -> Provision | Refuse | Ignore:
    """Decide about a claim. `present`: its directory exists here. `age`: seconds since this node first saw it wait."""
    meta, spec = claim.metadata, claim.spec
    if meta is None or spec is None or storage is None or storage.provisioner != PROVISIONER:
        return Ignore("not ours")
    if meta.deletionTimestamp or spec.volumeName or (claim.status and claim.status.phase not in (None, "Pending")):
        return Ignore("not waiting for a volume")
    for volume in volumes:
        if _is_for(volume, meta.namespace, meta.name):
            if _claim_uid(volume) == meta.uid:
                return Ignore("has a volume already")
            if volume.spec and volume.spec.persistentVolumeReclaimPolicy == "Delete":
                return Ignore("its former volume is to be deleted first")
    problem = _unfulfillable(spec)
    if problem:
        return Refuse(problem)
    patience = 0.0 if present else _patience(meta, storage, here)
    if patience is None:
        return Ignore("waits for its first consumer on this node")
    if age < patience:
        return Ignore("another node may have its data")
    return _provision(meta, storage, here, present)


def for_volume(
    volume: PersistentVolume, here: Here, newest: str | None, present: bool
) -> Remove | Forget | Refuse | Ignore:
    """Decide about a volume. `newest`: uid of the claim that last used the directory, `present`: it exists."""
    meta, spec = volume.metadata, volume.spec
    if meta is None or spec is None or (meta.annotations or {}).get(PROVISIONED_BY) != PROVISIONER:
        return Ignore("not ours")
    if hostname_of(volume) != here.hostname:
        return Ignore("another node's")
    if meta.deletionTimestamp or volume.status is None or volume.status.phase != "Released" or spec.claimRef is None:
        return Ignore("in use")
    superseded = newest is not None and newest != spec.claimRef.uid
    if superseded:
        return Forget("its directory belongs to a newer claim")
    if spec.persistentVolumeReclaimPolicy != "Delete":
        return Ignore("retained")
    expected = here.directory(spec.claimRef.namespace or "", spec.claimRef.name or "")
    if spec.local is None or Path(spec.local.path) != expected:
        return Refuse(f"its path is not {expected}: nothing is removed")
    return Remove(expected) if present else Forget("its directory is gone")


def volume_for(claim: PersistentVolumeClaim, storage: StorageClass, here: Here, plan: Provision) -> PersistentVolume:
    """The volume object, bound to the claim in advance. Its name is the claim's uid: one node only can create it."""
    meta, spec = claim.metadata or ObjectMeta(), claim.spec or PersistentVolumeClaimSpec()
    requests = (spec.resources.requests if spec.resources else None) or {}
    only_here = NodeSelectorRequirement(key=HOSTNAME, operator="In", values=[here.hostname])
    affinity = VolumeNodeAffinity(NodeSelector([NodeSelectorTerm(matchExpressions=[only_here])]))
    owner = ObjectReference(
        apiVersion="v1", kind="PersistentVolumeClaim", namespace=meta.namespace, name=meta.name, uid=meta.uid
    )
    return PersistentVolume(
        metadata=ObjectMeta(
            name=volume_name(meta),
            annotations={PROVISIONED_BY: PROVISIONER},
            labels={"app.kubernetes.io/managed-by": "local-volumes"},
        ),
        spec=PersistentVolumeSpec(
            storageClassName=storage.metadata.name if storage.metadata else None,
            capacity={"storage": requests["storage"]},
            accessModes=spec.accessModes,
            persistentVolumeReclaimPolicy=plan.reclaim,
            volumeMode="Filesystem",
            local=LocalVolumeSource(path=str(plan.directory)),
            nodeAffinity=affinity,
            claimRef=owner,
        ),
    )


def volume_name(meta: ObjectMeta) -> str:
    """The name of the volume for a claim."""
    return f"pvc-{meta.uid}"


def hostname_of(volume: PersistentVolume) -> str | None:
    """The one node a volume is on, by its label kubernetes.io/hostname."""
    affinity = volume.spec.nodeAffinity if volume.spec else None
    for term in affinity.required.nodeSelectorTerms if affinity and affinity.required else []:
        for match in term.matchExpressions or []:
            if match.key == HOSTNAME and match.operator == "In" and match.values and len(match.values) == 1:
                return match.values[0]
    return None


def mounts_below(mountinfo: str, directory: Path) -> list[str]:
    """Mount points inside a directory, from /proc/self/mountinfo: nothing is removed across one."""
    points = [line.split()[4].replace("\\040", " ") for line in mountinfo.splitlines()]
    return [point for point in points if Path(point) == directory or directory in Path(point).parents]


def _is_for(volume: PersistentVolume, namespace: str | None, name: str | None) -> bool:
    ref = volume.spec.claimRef if volume.spec else None
    ours = volume.metadata is not None and (volume.metadata.annotations or {}).get(PROVISIONED_BY) == PROVISIONER
    return ours and ref is not None and (ref.namespace, ref.name) == (namespace, name)


def _claim_uid(volume: PersistentVolume) -> str | None:
    return volume.spec.claimRef.uid if volume.spec and volume.spec.claimRef else None


def _unfulfillable(spec: PersistentVolumeClaimSpec) -> str | None:
    if spec.volumeMode == "Block":
        return "local volumes are directories: volumeMode Block is not possible"
    if spec.selector is not None:
        return "a claim with a selector gets no new volume"
    if spec.dataSource is not None:
        return "a volume can't start from a snapshot or another claim"
    return None


def _patience(meta: ObjectMeta, storage: StorageClass, here: Here) -> float | None:
    """Seconds this node waits before it provisions anew; None where it is not this node's turn at all."""
    alone = here.nodes <= {here.name}
    if storage.volumeBindingMode == "WaitForFirstConsumer":
        if (meta.annotations or {}).get(SELECTED_NODE) != here.name:
            return None
        return 0.0 if alone else GRACE
    order = sorted(here.nodes | {here.name}, key=lambda node: sha256(f"{meta.uid} {node}".encode()).digest())
    return 0.0 if alone else GRACE * (1 + order.index(here.name))


def _provision(meta: ObjectMeta, storage: StorageClass, here: Here, present: bool) -> Provision | Refuse:
    notes = meta.annotations or {}
    owner = re.fullmatch(r"(\d{1,9}):(\d{1,9})", notes.get(OWNER, "0:0"))
    mode = re.fullmatch(r"0?[0-7]{3,4}", notes.get(MODE, "1777"))
    reclaim = notes.get(RECLAIM, storage.reclaimPolicy or "Delete")
    if owner is None or mode is None or reclaim not in ("Retain", "Delete"):
        return Refuse(f"needs {OWNER} as uid:gid, {MODE} as an octal number, {RECLAIM} as Retain or Delete")
    return Provision(
        directory=here.directory(meta.namespace or "", meta.name or ""),
        adopt=present,
        owner=(int(owner[1]), int(owner[2])),
        mode=int(mode[0], 8),
        reclaim=reclaim,
    )
