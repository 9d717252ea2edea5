"""Whether what the API says of this node's pods is of this start of the system, or what was left there before it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from installers.core.model import Kind, Object, Probe

NODES = Kind("v1", "Node", "nodes", namespaced=False)
LEASES = Kind("coordination.k8s.io/v1", "Lease", "leases")
HEARTBEATS = "kube-node-lease"
"""The namespace where each kubelet renews a lease, every ten seconds by default (Kubernetes' docs on nodes)."""

TICKS = 100
"""Of /proc/PID/stat a second: USER_HZ, the same on every architecture we install on."""


def fresh(probe: Probe) -> bool:
    """Whether a kubelet has reported since this system started. True where that cannot be told.

    A restart leaves the cluster's record as it was: until then it says of every pod that it runs. The lease counts
    as well as the node's own status, since that may be minutes old, and the clock may be set after the start.
    """
    beats = [beat for beat in _heartbeats(probe) if beat is not None]
    start = started(probe) if beats else None
    return start is None or max(beats) >= start


def _heartbeats(probe: Probe) -> Iterator[datetime | None]:
    for node in probe.objects(NODES):
        for row in node.get("status", {}).get("conditions") or ():
            yield _time(row.get("lastHeartbeatTime"))
    for lease in probe.objects(LEASES):
        if _namespace(lease) == HEARTBEATS:
            yield _time(lease.get("spec", {}).get("renewTime"))


def _namespace(item: Object) -> str:
    return str(item["metadata"].get("namespace", ""))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def started(probe: Probe) -> datetime | None:
    """When the first process of this system started, a container's too; None where /proc does not say.

    Whole seconds, rounded down, as the API's own times may be.
    """
    boot = re.search(r"^btime (\d+)$", probe.read("/proc/stat").decode(), re.MULTILINE)
    if boot is None or probe.stat("/proc/1/stat") is None:
        return None
    # Field 22; the second, in brackets, may hold spaces.
    ticks = int(probe.read("/proc/1/stat").decode(errors="replace").rpartition(")")[2].split()[19])
    uptime = float(probe.read("/proc/uptime").split()[0])
    start, now = (datetime.fromtimestamp(int(boot[1]) + int(after), UTC) for after in (ticks / TICKS, uptime))
    # Some containers are told a btime of their own, to which the ticks since the computer's boot do not add.
    return start if start <= now + timedelta(seconds=1) else None
