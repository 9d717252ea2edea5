"""What kubeadm calls things: the one of Debian's Kubernetes 1.20, and today's."""

from __future__ import annotations

from dataclasses import dataclass

HOME = "/etc/kubernetes"
KUBELET = "/var/lib/kubelet"
SOCKET = "/run/containerd/containerd.sock"


@dataclass(frozen=True, slots=True)
class Kubeadm:
    """A release's own words. ``api``: version of its configuration. ``socket``: how it writes the runtime's.

    ``kubeconfigs``: what the phase `kubeconfig all` writes. ``settings``: what the phase kubelet-start writes.
    ``shared``: the ConfigMap of the kubelets' common settings, and what the right to read it is named after.
    """

    api: str
    socket: str
    kubeconfigs: tuple[str, ...]
    settings: tuple[str, ...]
    shared: str

    @property
    def today(self) -> bool:
        """Whether it is for a kubelet that takes the runtime's socket and the refusal of cgroup v1 from its file."""
        return self.api == "v1beta4"


_KUBECONFIGS = tuple(f"{HOME}/{name}.conf" for name in ("admin", "kubelet", "controller-manager", "scheduler"))
_SETTINGS = (f"{KUBELET}/config.yaml", f"{KUBELET}/kubeadm-flags.env")

EMBEDDED = Kubeadm("v1beta2", SOCKET, _KUBECONFIGS, _SETTINGS, "kubelet-config-1.20")
"""1.20, as seen in machines."""

TODAY = Kubeadm(
    "v1beta4",
    f"unix://{SOCKET}",
    (*_KUBECONFIGS, f"{HOME}/super-admin.conf"),
    (*_SETTINGS, f"{KUBELET}/instance-config.yaml"),
    "kubelet-config",
)
"""1.36, from its documentation (setup-tools/kubeadm/implementation-details) and release notes; never run by us.

super-admin.conf since 1.29, instance-config.yaml by default since 1.34, no version in the ConfigMap's name since 1.24.
"""
