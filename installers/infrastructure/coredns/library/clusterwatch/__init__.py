"""What a program in a pod needs to follow a cluster: mirrors of kinds, and answers to kubelet's probes."""

from clusterwatch.follow import Mirror, follow
from clusterwatch.health import Health, serve

__all__ = ["Health", "Mirror", "follow", "serve"]
