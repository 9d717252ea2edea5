"""Mirrors keep what they know through faults, and probes get the answer that holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from clusterwatch import Health, Mirror, follow
from clusterwatch.health import response
from httpx2 import ConnectError
from lightkube import AsyncClient
from lightkube.resources.core_v1 import Service


def a_service(name: str, version: str = "1") -> Service:
    item = {"metadata": {"name": name, "namespace": "shop", "resourceVersion": version}}
    return cast(Service, Service.from_dict(item))


class Listing:
    """What the client's list() returns."""

    resourceVersion = "7"

    def __init__(self, items: list[Service]) -> None:
        self.items = items

    async def __aiter__(self) -> AsyncIterator[Service]:
        for item in self.items:
            yield item


class Cluster:
    """A client whose API server is away for the first list and then gives one list and some events."""

    def __init__(self, items: list[Service], events: list[tuple[str, Service]]) -> None:
        self.items, self.events, self.calls, self.told = items, events, 0, asyncio.Event()
        self.since = ""

    def list(self, kind: type[Any], *, namespace: str) -> Listing:
        assert namespace == "*"
        self.calls += 1
        if self.calls == 1:
            raise ConnectError("away")
        return Listing(self.items)

    async def watch(self, kind: type[Any], **options: Any) -> AsyncIterator[tuple[str, Service]]:
        self.since = options["resource_version"]
        for event in self.events:
            yield event
        self.told.set()
        await asyncio.Event().wait()


async def followed(cluster: Cluster, mirror: Mirror[Service]) -> None:
    task = asyncio.create_task(follow(cast(AsyncClient, cluster), mirror))
    await asyncio.wait_for(cluster.told.wait(), 5)
    task.cancel()


def test_a_mirror_follows_through_a_fault() -> None:
    async def run() -> tuple[Cluster, Mirror[Service]]:
        events = [("MODIFIED", a_service("a", "2")), ("DELETED", a_service("b")), ("BOOKMARK", a_service("x"))]
        cluster = Cluster([a_service("a"), a_service("b")], events)
        mirror = Mirror(Service, asyncio.Event(), {("shop", "old"): a_service("old")})
        await followed(cluster, mirror)
        return cluster, mirror

    cluster, mirror = asyncio.run(run())
    assert (cluster.calls, cluster.since, mirror.synced) == (2, "7", True)
    assert mirror.objects == {("shop", "a"): a_service("a", "2")}


def test_the_same_list_again_is_no_change() -> None:
    mirror = Mirror(Service, asyncio.Event())
    mirror.replace({})
    assert mirror.changed.is_set(), "the first list counts even when it is empty"
    mirror.changed.clear()
    mirror.replace({})
    assert not mirror.changed.is_set()


@pytest.mark.parametrize(
    ("line", "ready", "status"),
    [
        (b"GET /ready HTTP/1.1", True, b"200"),
        (b"GET /ready HTTP/1.1", False, b"503"),
        (b"GET /live HTTP/1.1", False, b"200"),
        (b"GET /other HTTP/1.1", True, b"404"),
        (b"POST /ready HTTP/1.1", True, b"404"),
        (b"", True, b"404"),
    ],
)
def test_probes(line: bytes, ready: bool, status: bytes) -> None:
    assert response(line, Health(ready)).split()[1] == status


def test_a_stuck_program_is_not_live() -> None:
    assert not Health(ready=True, stall_after=0.0).live()
