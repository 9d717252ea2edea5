"""Which versions of the systems below a cluster go together, and which step from one to the next is allowed.

Every rule answers "" where versions go together, else one sentence that says which do not and why. Sources:
Kubernetes' version skew policy and kubeadm's own (kubernetes/website: releases/version-skew-policy.md and
setup/production-environment/tools/kubeadm/create-cluster-kubeadm.md), containerd's RELEASES.md at v2.3.4, the etcd
project's guide "Bump etcd Version in Kubernetes" (kubeadm's MinExternalEtcdVersion), K3s' documentation
(upgrades/manual), Calico's system requirements by version (read in October 2026 at second hand).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Numbers = tuple[int, ...]

KUBELET_BEHIND = 3
"""Minor versions a kubelet may be older than the API server; two for kubelets before 1.25."""

OLDEST_CONTAINERD: Sequence[tuple[Numbers, tuple[Numbers, ...]]] = (
    ((1, 36), ((2, 3, 0), (2, 2, 0))),
    ((1, 35), ((2, 2, 0), (2, 1, 5), (1, 7, 28))),
    ((1, 34), ((2, 1, 3), (2, 0, 6), (1, 7, 28), (1, 6, 39))),
    ((1, 33), ((2, 1, 0), (2, 0, 4), (1, 7, 24), (1, 6, 36))),
    ((1, 32), ((2, 1, 0), (2, 0, 1), (1, 7, 24), (1, 6, 36))),
    ((1, 26), ((1, 7, 0), (1, 6, 15))),
    ((1, 20), ((1, 5, 0),)),
)
"""From a Kubernetes on: the first release of every containerd line that is recommended for it, newest line first."""

LAST_ALPHA_CRI = (1, 22)
"""The last Kubernetes that speaks CRI v1alpha2 alone, which containerd 2.0 no longer answers."""

OLDEST_ETCD: Sequence[tuple[Numbers, Numbers]] = (((1, 36), (3, 5, 24)), ((1, 20), (3, 2, 18)))
"""From a Kubernetes on: the oldest etcd kubeadm takes as an external one."""

CALICO_TESTED: Mapping[Numbers, tuple[Numbers, Numbers]] = {
    (3, 33): ((1, 35), (1, 37)),
    (3, 32): ((1, 34), (1, 36)),
    (3, 31): ((1, 32), (1, 35)),
}
"""Of a Calico: the oldest and newest Kubernetes its requirements page names."""

CGROUP_V2_FROM = (1, 35)
"""The first Kubernetes whose kubelet refuses control groups of version 1 unless told otherwise."""


def numbers(version: str) -> Numbers:
    """1.36.5+k3s1, v1.36.5 → (1, 36, 5). ``ValueError`` for what does not begin with a version."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    if found is None:
        raise ValueError(f"no version: {version!r}")
    return tuple(map(int, found[1].split(".")))


def kubelet(version: str, *, api_server: str) -> str:
    """A kubelet is not newer than the API server, and not much older."""
    mine, its = numbers(version)[:2], numbers(api_server)[:2]
    behind = its[1] - mine[1]
    most = KUBELET_BEHIND if mine >= (1, 25) else 2
    if mine[0] != its[0] or behind < 0:
        return f"a kubelet {version} is newer than the API server, {api_server}"
    if behind > most:
        return f"a kubelet {version} is {behind} minor versions behind the API server, {api_server}; {most} are allowed"
    return ""


def kubeadm(version: str, *, cluster: str) -> str:
    """kubeadm sets up clusters of its own minor version or the one before."""
    mine, its = numbers(version)[:2], numbers(cluster)[:2]
    if mine[0] == its[0] and mine[1] - its[1] in (0, 1):
        return ""
    return f"kubeadm {version} handles its own minor version and the one before, not {cluster}"


def containerd(version: str, *, kubernetes: str) -> str:
    """containerd speaks the CRI that the kubelet asks for, and is of a line recommended for it."""
    mine, its = numbers(version), numbers(kubernetes)[:2]
    if its <= LAST_ALPHA_CRI and mine >= (2,):
        return (
            f"containerd {version} no longer speaks the CRI v1alpha2 of Kubernetes {kubernetes}; it needs containerd 1"
        )
    lines = next((lines for since, lines in OLDEST_CONTAINERD if its >= since), ())
    if not lines:
        return f"nothing is known of containerd for Kubernetes {kubernetes}"
    # Lines newer than those named came after Kubernetes did, and are made to serve it too.
    if mine[:2] > lines[0][:2] or any(mine[:2] == line[:2] and mine >= line for line in lines):
        return ""
    oldest = ", ".join(".".join(map(str, line)) for line in lines)
    return f"containerd {version} is not meant for Kubernetes {kubernetes}; at least: {oldest}"


def etcd(version: str, *, kubernetes: str) -> str:
    """etcd is not older than kubeadm takes."""
    its = numbers(kubernetes)[:2]
    oldest = next((oldest for since, oldest in OLDEST_ETCD if its >= since), ())
    if numbers(version) >= oldest:
        return ""
    return f"etcd {version} is too old for Kubernetes {kubernetes}; at least {'.'.join(map(str, oldest))}"


def control_groups(mode: str, *, kubernetes: str) -> str:
    """``mode``: v1, v2 or hybrid, which is version 1 to Kubernetes."""
    if mode == "v2" or numbers(kubernetes)[:2] < CGROUP_V2_FROM:
        return ""
    return f"Kubernetes {kubernetes} needs control groups of version 2"


def calico(version: str, *, kubernetes: str) -> str:
    """Calico is tested with some Kubernetes versions each; what stands in for it is no version of it."""
    if not re.match(r"v?\d", version):
        return ""
    mine, its = numbers(version)[:2], numbers(kubernetes)[:2]
    first, last = CALICO_TESTED.get(mine, ((), ()))
    if not first:
        return f"nothing is known of Calico {version} with any Kubernetes"
    if first <= its <= last:
        return ""
    between = " to ".join(".".join(map(str, one)) for one in (first, last))
    return f"Calico {version} is tested with Kubernetes {between}, not with {kubernetes}"


def step(present: str, *, to: str) -> str:
    """Whether a cluster (K3s, kubeadm) may go from one version to another: never down, one minor version at a time."""
    old, new = numbers(present), numbers(to)
    if new < old:
        return f"{to} is older than {present}: a cluster's record cannot be read by an older version"
    if new[0] != old[0] or new[1] - old[1] > 1:
        return f"from {present} to {to} leaves out a minor version; one at a time"
    return ""


def conflicts(versions: Mapping[str, str]) -> tuple[str, ...]:
    """Everything in a set that does not go together. Names: kubernetes, kubelet, kubeadm, k3s, containerd, etcd,
    calico.

    Those that are not in it are not asked about; K3s is a Kubernetes of its version that brings its own containerd.
    """
    cluster = versions.get("kubernetes") or versions.get("k3s")
    if not cluster:
        return ()
    found = [
        kubelet(versions.get("kubelet", cluster), api_server=cluster),
        kubeadm(versions.get("kubeadm", cluster), cluster=cluster),
        containerd(versions["containerd"], kubernetes=cluster) if "containerd" in versions else "",
        etcd(versions["etcd"], kubernetes=cluster) if "etcd" in versions else "",
        calico(versions["calico"], kubernetes=cluster) if "calico" in versions else "",
    ]
    return tuple(problem for problem in found if problem)
