"""Runs on each node: watches claims and volumes, makes and removes this node's directories."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clusterwatch import Health, Mirror, follow, serve
from httpx2 import HTTPError
from lightkube import ApiError, AsyncClient
from lightkube.models.core_v1 import EventSource, ObjectReference
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Event, Node, PersistentVolume, PersistentVolumeClaim
from lightkube.resources.storage_v1 import StorageClass

from localvolumes.disk import Busy, Disk
from localvolumes.plan import (
    HOSTNAME,
    Forget,
    Here,
    Provision,
    Refuse,
    Remove,
    for_claim,
    for_volume,
    hostname_of,
    volume_for,
    volume_name,
)

log = logging.getLogger("localvolumes")

ROUND = 1.0
"""Seconds after which everything is looked at again, where nothing has changed meanwhile."""


@dataclass
class Provisioner:
    """One node's provisioner: what it knows of the cluster, and its disk."""

    client: AsyncClient
    node: str
    root: Path
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    waiting_since: dict[str, float] = field(default_factory=dict)
    told: set[tuple[str, str]] = field(default_factory=set)
    complaints: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.claims = Mirror(PersistentVolumeClaim, self.changed)
        self.volumes = Mirror(PersistentVolume, self.changed)
        self.classes = Mirror(StorageClass, self.changed)
        self.nodes = Mirror(Node, self.changed)
        self.mirrors: list[Mirror[Any]] = [self.claims, self.volumes, self.classes, self.nodes]

    def here(self) -> Here:
        """This node as the cluster sees it."""
        node = self.nodes.objects.get(("", self.node))
        labels = (node.metadata.labels or {}) if node and node.metadata else {}
        names = frozenset(name for _, name in self.nodes.objects)
        return Here(self.node, labels.get(HOSTNAME, self.node), names, self.root)

    async def run(self, health: Health) -> None:
        """Act on every change until cancelled."""
        disk: Disk | None = None
        while True:
            try:
                async with asyncio.timeout(ROUND):
                    await self.changed.wait()
            except TimeoutError:
                log.debug("nothing new")
            self.changed.clear()
            health.beat()
            if not all(mirror.synced for mirror in self.mirrors):
                continue
            here = self.here()
            if disk is None:
                disk = Disk(here)
                await asyncio.to_thread(disk.sweep)
            await self.round(here, disk)
            health.ready = True

    async def round(self, here: Here, disk: Disk) -> None:
        """Look at every claim and volume once. What fails is tried again in the next round."""
        for claim in list(self.claims.objects.values()):
            try:
                await self.claim(claim, here, disk)
            except (HTTPError, OSError) as error:
                self.complain(f"claim {_name(claim)}", error)
        for volume in list(self.volumes.objects.values()):
            try:
                await self.volume(volume, here, disk)
            except (HTTPError, OSError, Busy) as error:
                self.complain(f"volume {_name(volume)}", error)

    def complain(self, about: str, error: Exception) -> None:
        """Log a fault, and not again in every round while it lasts."""
        text = f"{type(error).__name__}: {error}"
        if self.complaints.get(about) != text:
            self.complaints[about] = text
            log.warning("%s: %s", about, text)

    async def claim(self, claim: PersistentVolumeClaim, here: Here, disk: Disk) -> None:
        """Decide about a claim and do it."""
        meta, spec = _meta(claim), claim.spec
        if spec is None or spec.volumeName or not spec.storageClassName:
            self.waiting_since.pop(meta.uid or "", None)
            return
        storage = self.classes.objects.get(("", spec.storageClassName))
        present = disk.present(meta.namespace or "", meta.name or "")
        age = time.monotonic() - self.waiting_since.setdefault(meta.uid or "", time.monotonic())
        decision = for_claim(claim, storage, self.volumes.objects.values(), here, present, age)
        if isinstance(decision, Refuse):
            await self.tell(claim, decision.why)
        elif isinstance(decision, Provision) and storage is not None:
            await self.provision(claim, storage, here, disk, decision)

    async def provision(
        self, claim: PersistentVolumeClaim, storage: StorageClass, here: Here, disk: Disk, plan: Provision
    ) -> None:
        """Directory first, then the manifest, then the volume: a volume that exists can be mounted."""
        meta, name = _meta(claim), volume_name(_meta(claim))
        await asyncio.to_thread(disk.make, plan)
        disk.record(_name(claim), plan, meta.uid or "", name, _name(storage))
        try:
            volume = await self.client.create(volume_for(claim, storage, here, plan))
        except ApiError as error:
            if error.status.code != 409:
                raise
            volume = await self.client.get(PersistentVolume, name)
        self.volumes.objects["", name] = volume
        if hostname_of(volume) != here.hostname:
            log.info("claim %s: another node was first", _name(claim))
            if not plan.adopt:
                disk.unmake(plan)
                disk.forget(_name(claim))
            return
        log.info("claim %s: %s %s", _name(claim), "adopted" if plan.adopt else "made", plan.directory)

    async def volume(self, volume: PersistentVolume, here: Here, disk: Disk) -> None:
        """Decide about a volume and do it."""
        ref = volume.spec.claimRef if volume.spec else None
        if ref is None or hostname_of(volume) != here.hostname:
            return
        namespace, claim = ref.namespace or "", ref.name or ""
        decision = for_volume(volume, here, disk.newest(namespace, claim), disk.present(namespace, claim))
        if isinstance(decision, Refuse):
            await self.tell(volume, decision.why)
        if isinstance(decision, Remove):
            await asyncio.to_thread(disk.remove, decision.directory, ref.uid or "unknown")
            disk.forget(f"{namespace}/{claim}")
        if isinstance(decision, Remove | Forget):
            log.info("volume %s: %s", _name(volume), decision)
            await self.delete(volume)

    async def delete(self, volume: PersistentVolume) -> None:
        """Delete a volume object; one that is gone already is fine."""
        try:
            await self.client.delete(PersistentVolume, _meta(volume).name or "")
        except ApiError as error:
            if error.status.code != 404:
                raise

    async def tell(self, about: PersistentVolumeClaim | PersistentVolume, why: str) -> None:
        """Say once, in an Event that `kubectl describe` shows, why nothing happens."""
        meta = _meta(about)
        if ((meta.uid or ""), why) in self.told:
            return
        now, kind = datetime.now(UTC), type(about).__name__
        event = Event(
            metadata=ObjectMeta(generateName=f"{meta.name}.", namespace=meta.namespace or "default"),
            involvedObject=ObjectReference(
                apiVersion="v1", kind=kind, namespace=meta.namespace, name=meta.name, uid=meta.uid
            ),
            reason="ProvisioningFailed",
            message=why,
            type="Warning",
            source=EventSource(component="local-volumes", host=self.node),
            firstTimestamp=now,
            lastTimestamp=now,
            count=1,
        )
        await self.client.create(event)
        self.told.add((meta.uid or "", why))
        log.warning("%s: %s", _name(about), why)


def _meta(item: PersistentVolumeClaim | PersistentVolume | StorageClass) -> ObjectMeta:
    return item.metadata or ObjectMeta()


def _name(item: PersistentVolumeClaim | PersistentVolume | StorageClass) -> str:
    meta = _meta(item)
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name or ""


async def serve_node(node: str, root: Path, health_port: int) -> None:
    """Run until SIGTERM or SIGINT."""
    health = Health(stall_after=600.0)  # removing a large directory is one step
    client = AsyncClient()
    provisioner = Provisioner(client, node, root)
    probes = await serve(health, health_port)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follow(client, mirror)) for mirror in provisioner.mirrors]
        tasks.append(group.create_task(provisioner.run(health)))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, lambda: [task.cancel() for task in tasks])
    probes.close()
    await client.close()


def main() -> None:
    """Entry point of the container."""
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(prog="localvolumes", description=__doc__)
    parser.add_argument("--node", default=os.environ.get("NODE_NAME"), help="default: $NODE_NAME")
    parser.add_argument("--root", type=Path, default=Path("/var/lib/olares/volumes"))
    parser.add_argument("--health-port", type=int, default=8082)
    options = parser.parse_args()
    if not options.node:
        parser.error("--node or NODE_NAME is needed")
    asyncio.run(serve_node(options.node, options.root, options.health_port))


if __name__ == "__main__":
    main()
