"""K3s's configuration files as data, and as the text K3s reads: server, agent, registries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from installers.site import Registry, Site

HOME = "/etc/rancher/k3s"
CONFIG = f"{HOME}/config.yaml"
REGISTRIES = f"{HOME}/registries.yaml"
TOKEN = f"{HOME}/token"
AGENT_TOKEN = f"{HOME}/agent-token"
ENVIRONMENT = "/etc/olares/k3s.env"
"""Variables for the service, where there are any; K3s hands those of proxies on to its containerd."""

ENDPOINT = "api.olares.internal"
"""The API server's name on this node, for certificates and kubeconfigs that must not carry an address."""

RUNTIME = "unix:///run/containerd/containerd.sock"
"""Where the host's own containerd listens."""

DISABLED = ("traefik", "servicelb", "metrics-server")
"""Packaged parts of K3s that this system does not use; docs/decisions/0023 has the reasons."""

_NOTE = "# Written by olares-cli; changes made here are undone by the next install.\n"

# What is not here is K3s's default, and meant so. kubelet and kube-proxy get no further arguments: K3s by itself
# tolerates swap, takes systemd's cgroup driver where systemd runs it, leaves the computer's connection tracking alone,
# and hands the kubelet a resolv.conf without loopback servers. At each start it looks for NVIDIA's container runtime
# and adds it to its containerd: nothing here does that a second time.


def server(site: Site, datastore: Mapping[str, str]) -> dict[str, Any]:
    """Keys of config.yaml for the node with the control plane.

    ``datastore``: what the etcd component publishes (endpoint, ca, certificate, key), where etcd keeps the cluster's
    record; empty for K3s's own SQLite file.
    """
    network = site.network
    return {
        **_node(site),
        "tls-san": [ENDPOINT],
        "cluster-cidr": [network.pods],
        "service-cidr": [network.services],
        "cluster-dns": [network.dns],
        "cluster-domain": network.domain,
        "token-file": TOKEN,
        "agent-token-file": AGENT_TOKEN,
        "write-kubeconfig-mode": "0600",
        "default-local-storage-path": site.paths.volumes,
        "disable": list(DISABLED),
        "disable-helm-controller": True,
        **_network(site),
        **_datastore(datastore),
    }


def agent(site: Site, *, server: str) -> dict[str, Any]:
    """Keys of config.yaml for a node that joins a cluster. ``server``: the control plane's address, https://HOST:6443."""
    return {**_node(site), "server": server, "token-file": AGENT_TOKEN}


def _node(site: Site) -> dict[str, Any]:
    runtime = {"container-runtime-endpoint": RUNTIME} if site.k3s.runtime == "shared" else {}
    return {"node-name": site.node.name, "node-ip": [site.node.address], **runtime}


def _network(site: Site) -> dict[str, Any]:
    """flannel and its policies are K3s's default; with the host's containerd the network is a component of its own."""
    return {"flannel-backend": "none", "disable-network-policy": True} if site.k3s.runtime == "shared" else {}


def _datastore(published: Mapping[str, str]) -> dict[str, Any]:
    if not published:
        return {}
    return {
        "datastore-endpoint": published["endpoint"],
        "datastore-cafile": published["ca"],
        "datastore-certfile": published["certificate"],
        "datastore-keyfile": published["key"],
    }


def written(keys: Mapping[str, Any]) -> str:
    """A configuration file with these keys, in this order."""
    import yaml

    return _NOTE + yaml.safe_dump(dict(keys), sort_keys=False, default_flow_style=False, allow_unicode=True, width=200)


def registries(wanted: Iterable[Registry]) -> str:
    """registries.yaml: where images of each registry are asked for first. "" without mirrors: then there is no file.

    A mirror's path is taken as where the API begins, by K3s as by containerd. What no mirror has comes from the
    registry itself.
    """
    rows: dict[str, Any] = {}
    trust: dict[str, Any] = {}
    for one in wanted:
        rows[one.name] = {"endpoint": list(one.mirrors)}
        if one.ca:
            trust |= {urlsplit(mirror).netloc: {"tls": {"ca_file": one.ca}} for mirror in one.mirrors}
    return written({"mirrors": rows, **({"configs": trust} if trust else {})}) if rows else ""


def environment(variables: Mapping[str, str]) -> str:
    """The file of variables for the service (HTTP_PROXY and its like), "" without any: then there is no file.

    K3s adds the cluster's own addresses to NO_PROXY by itself; the node's and the network's are the caller's.
    """
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in variables.items()}
    return _NOTE + "".join(f'{name}="{value}"\n' for name, value in quoted.items()) if variables else ""
