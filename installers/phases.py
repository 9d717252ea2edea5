"""The whole install on one screen: the phases in order, and the components in each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phase:
    """A named stage. ``components``: folders below ``installers``, in the order they are shown."""

    name: str
    title: str
    components: tuple[str, ...]


PHASES = (
    Phase("host", "Prepare the host", ("infrastructure/host", "infrastructure/kernel")),
    Phase("runtime", "Container runtime", ("infrastructure/containerd",)),
    Phase(
        "cluster",
        "Kubernetes",
        ("infrastructure/etcd", "infrastructure/calico", "infrastructure/kubernetes", "infrastructure/k3s"),
    ),
    Phase("services", "Cluster services", ("infrastructure/coredns", "infrastructure/storage")),
    Phase(
        "platform",
        "Platform",
        ("platform/postgresql", "platform/kvrocks", "platform/nats", "platform/prometheus"),
    ),
)


def phase_of(component: str) -> Phase:
    """The phase a component belongs to; ``KeyError`` for an unknown one."""
    for phase in PHASES:
        if component in phase.components:
            return phase
    raise KeyError(component)
