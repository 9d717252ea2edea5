"""`clusterdns prepare` writes BIND's files (init container); `clusterdns watch` feeds BIND from the cluster."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from pathlib import Path

from clusterwatch import Health, Mirror, follow, serve
from lightkube import AsyncClient
from lightkube.resources.core_v1 import Endpoints, Service

from clusterdns.layout import Layout, prepare
from clusterdns.records import Zones, reverse_zones, zones
from clusterdns.server import FAULTS, Server

log = logging.getLogger("clusterdns")

SETTLE = 0.05
"""Seconds to gather further changes after the first: a rollout changes many endpoints at once."""
VERIFY = 5.0
"""Seconds between two looks at whether BIND still has what it was given."""


def arguments() -> argparse.Namespace:
    """The command line; networks may be given several times."""
    parser = argparse.ArgumentParser(prog="clusterdns", description=__doc__)
    parser.add_argument("do", choices=["prepare", "watch"])
    parser.add_argument("--domain", default="cluster.local")
    parser.add_argument("--cluster-dns", required=True, metavar="IP", help="cluster IP of this DNS Service")
    parser.add_argument(
        "--network", action="append", required=True, metavar="CIDR", help="services' or pods' addresses"
    )
    parser.add_argument("--state", type=Path, default=Path("/run/clusterdns"))
    parser.add_argument("--port", type=int, default=1053)
    parser.add_argument("--health-port", type=int, default=8081)
    parser.add_argument("--resolv-conf", type=Path, default=Path("/etc/resolv.conf"))
    return parser.parse_args()


async def feed(server: Server, services: Mirror[Service], endpoints: Mirror[Endpoints], health: Health) -> None:
    """Carry every change to BIND, and look again from time to time, until cancelled."""
    changed = services.changed
    while True:
        try:
            async with asyncio.timeout(VERIFY):
                await changed.wait()
            await asyncio.sleep(SETTLE)
        except TimeoutError:
            log.debug("nothing new")
        health.beat()
        changed.clear()
        if not (services.synced and endpoints.synced):
            continue
        layout = server.layout
        wanted = zones(layout.domain, layout.reverse, services.objects.values(), endpoints.objects.values())
        health.ready = await carry(server, wanted, changed)


async def carry(server: Server, wanted: Zones, changed: asyncio.Event) -> bool:
    """Make BIND's zones what is wanted. False, and another try soon, while BIND does not take it."""
    try:
        counts = [await asyncio.to_thread(server.make, zone, records) for zone, records in wanted.items()]
    except FAULTS as error:
        log.warning("BIND: %s: %s", type(error).__name__, error)
        asyncio.get_running_loop().call_later(0.5, changed.set)
        return False
    if sum(counts):
        log.info("%d changes, %d records", sum(counts), sum(map(len, wanted.values())))
    return True


async def watch(layout: Layout, health_port: int) -> None:
    """Run until SIGTERM or SIGINT."""
    health, changed = Health(), asyncio.Event()
    services, endpoints = Mirror(Service, changed), Mirror(Endpoints, changed)
    server = Server(layout, (layout.state / "key").read_text())
    client = AsyncClient()
    probes = await serve(health, health_port)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(follow(client, services)),
            group.create_task(follow(client, endpoints)),
            group.create_task(feed(server, services, endpoints, health)),
        ]
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, lambda: [task.cancel() for task in tasks])
    probes.close()
    await client.close()


def main() -> None:
    """Entry point of both containers that run Python."""
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    options = arguments()
    layout = Layout(
        state=options.state,
        domain=options.domain.strip(".").lower() + ".",
        reverse=tuple(reverse_zones(options.network)),
        port=options.port,
        address=options.cluster_dns,
    )
    if options.do == "prepare":
        forwarders = prepare(layout, options.resolv_conf.read_text())
        log.info("forwarding to %s", ", ".join(forwarders) or "nobody: resolv.conf names no server a pod can reach")
    else:
        asyncio.run(watch(layout, options.health_port))


if __name__ == "__main__":
    main()
