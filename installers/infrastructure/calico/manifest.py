"""Calico's own objects, out of the manifest its project releases, with what we set in them.

What is set is what Calico's documentation and its calico-vxlan.yaml set (v3.32.1): VXLAN in place of IP-in-IP and BGP,
which need nothing of the network between nodes but UDP. Designed, not run: nothing here was tried with Calico itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from installers.core.actions.objects import ApplyObject
from installers.core.artifacts.reference import MARK
from installers.core.facts.files import TextAt, sha256
from installers.core.facts.objects import ref_of
from installers.core.host.documents import document, documents
from installers.core.model import Decision, Deferred, Fact, Facts, May, Object
from installers.core.resources.base import BaseResource
from installers.core.resources.objects import Objects
from installers.infrastructure.containerd.upstream import PLUGINS

BIRD = frozenset({"-bird-live", "-bird-ready"})
"""What its probes ask of BGP, which does not run."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``pods``: the range pods get addresses from. ``images``: references with digests in place of tags alone."""

    pods: str
    images: tuple[str, ...]

    def applied(self, item: Object) -> Object:
        """One object as we want it; ``ValueError`` for an image that no reference stands for."""
        # A definition of the file has one, with nulls in it: it is the cluster's to write.
        item = {name: value for name, value in item.items() if name != "status"}
        if (item["kind"], item["metadata"]["name"]) == ("ConfigMap", "calico-config"):
            return {**item, "data": {**item["data"], "calico_backend": "vxlan"}}
        if item["kind"] not in ("DaemonSet", "Deployment"):
            return item
        # An object is as JSON has it: a copy of its own.
        found: Object = json.loads(json.dumps(item))
        pod = found["spec"]["template"]["spec"]
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            self._set(container)
        return found

    def _set(self, container: dict[str, Any]) -> None:
        container["image"] = self._pinned(container["image"])
        if container["name"] == "install-cni":
            # They lie there already, from the CNI project; one file has one owner.
            _set(container, {"SKIP_CNI_BINARIES": ",".join(PLUGINS)})
        if container["name"] == "calico-node":
            values = {
                "CALICO_IPV4POOL_CIDR": self.pods,
                "CALICO_IPV4POOL_IPIP": "Never",
                "CALICO_IPV4POOL_VXLAN": "CrossSubnet",
                # The address the kubelet registered: on a computer with many, the one the cluster knows it by.
                "IP_AUTODETECTION_METHOD": "kubernetes-internal-ip",
            }
            _set(container, values)
            for probe in ("livenessProbe", "readinessProbe"):
                command = container[probe]["exec"]["command"]
                container[probe]["exec"]["command"] = [word for word in command if word not in BIRD]

    def _pinned(self, image: str) -> str:
        for reference in self.images:
            if reference.partition(MARK)[0] == image:
                return reference
        raise ValueError(f"Calico's manifest wants {image}, which no reference stands for")


def _set(container: dict[str, Any], values: dict[str, str]) -> None:
    """Environment variables, in the place of former ones of that name."""
    kept = [row for row in container.get("env", ()) if row["name"] not in values]
    container["env"] = [*kept, *({"name": name, "value": value} for name, value in values.items())]


@dataclass(frozen=True, slots=True)
class Manifest(BaseResource):
    """The objects in Calico's file once it is in place with this digest; until then a plan has their names alone."""

    path: str
    sha256: str
    settings: Settings

    @property
    def key(self) -> str:
        return "objects:calico"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (TextAt(self.path), *Objects("calico", tuple(map(_bare, names()))).needs())

    def decide(self, facts: Facts) -> Decision:
        text = facts[TextAt(self.path)]
        if text is None or sha256(text.encode()) != self.sha256:
            return Deferred("calico's manifest is in place", tuple(May(ApplyObject.kind, name) for name in names()))
        return Objects("calico", tuple(map(self.settings.applied, _documents(text)))).decide(facts)


def _bare(name: str) -> Object:
    """An object of which nothing is known but what it is called."""
    ref = ref_of(name)
    metadata = {"name": ref.name} | ({"namespace": ref.namespace} if ref.namespace else {})
    return {"apiVersion": ref.kind.api_version, "kind": ref.kind.name, "metadata": metadata}


@cache
def names() -> tuple[str, ...]:
    """Every object of the file, as facts and actions name them."""
    text = resources.files("installers.infrastructure.calico").joinpath("objects.yaml").read_text()
    return tuple(f"{where}/{name}" for where, found in document(text).items() for name in found)


@cache
def _documents(text: str) -> tuple[Object, ...]:
    """Read once: it is a third of a megabyte, and a plan decides more than once."""
    return tuple(documents(text))
