"""A kind's objects kept current: one list, then a watch, and again after a fault or when the watch grows old."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from httpx2 import HTTPError
from lightkube import AsyncClient
from lightkube.core.resource import NamespacedResource
from msgspec import MsgspecError

log = logging.getLogger(__name__)

LIST_DEADLINE = 30.0
"""Seconds a list may take."""
WATCH_AGE = 60.0
"""Seconds after which a watch is given up for a fresh list: a connection that died silently costs no more than this."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
"""Seconds between two tries while the API server does not answer; doubles from the first to the second."""

Kind = TypeVar("Kind")
Key = tuple[str, str]


@dataclass
class Mirror(Generic[Kind]):
    """The last known objects of one kind, by (namespace, name). Keeps them while the API server is away."""

    kind: type[Kind]
    changed: asyncio.Event
    """Set after every change; shared by all mirrors of a program, cleared by its main loop."""
    objects: dict[Key, Kind] = field(default_factory=dict)
    synced: bool = False
    """True from the first complete list on."""

    def replace(self, objects: dict[Key, Kind]) -> None:
        """Take a complete list as the new truth."""
        if not self.synced or objects != self.objects:
            self.objects, self.synced = objects, True
            self.changed.set()

    def note(self, event: str, item: Kind) -> None:
        """Take one watch event (ADDED, MODIFIED or DELETED)."""
        if event == "DELETED":
            self.objects.pop(key_of(item), None)
        elif event in ("ADDED", "MODIFIED"):
            self.objects[key_of(item)] = item
        self.changed.set()


def key_of(item: Any) -> Key:
    """The (namespace, name) of an object; the namespace of a cluster-wide one is empty."""
    return item.metadata.namespace or "", item.metadata.name


async def follow(client: AsyncClient, mirror: Mirror[Any]) -> None:
    """Keep a mirror current until cancelled, through restarts of the API server."""
    pause = SHORTEST_PAUSE
    while True:
        try:
            version = await _list(client, mirror)
            pause = SHORTEST_PAUSE
            async with asyncio.timeout(WATCH_AGE):
                await _watch(client, mirror, version)
        except TimeoutError:
            log.debug("%s: time for a fresh list", mirror.kind.__name__)
        except (HTTPError, OSError, MsgspecError) as error:
            log.warning("%s: %s: %s; next try in %.1f s", mirror.kind.__name__, type(error).__name__, error, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def _everywhere(kind: type[Any]) -> dict[str, Any]:
    return {"namespace": "*"} if issubclass(kind, NamespacedResource) else {}


async def _list(client: AsyncClient, mirror: Mirror[Any]) -> str:
    async with asyncio.timeout(LIST_DEADLINE):
        listing = client.list(mirror.kind, **_everywhere(mirror.kind))
        objects = {key_of(item): item async for item in listing}
    mirror.replace(objects)
    return listing.resourceVersion


async def _watch(client: AsyncClient, mirror: Mirror[Any], version: str) -> None:
    events = client.watch(
        mirror.kind, **_everywhere(mirror.kind), resource_version=version, server_timeout=int(WATCH_AGE) + 5
    )
    async for event, item in events:
        mirror.note(event, item)
