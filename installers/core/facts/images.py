"""Container images in containerd's store, in Kubernetes' namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from installers.core.model import Probe, Query, Unknown

SOCKET = "/run/containerd/containerd.sock"


@dataclass(frozen=True, slots=True)
class ContainerImages:
    """Every image by reference, with its target's digest (``sha256:…``); empty while containerd does not run."""

    def load(self, probe: Probe) -> Mapping[str, str] | Unknown:
        if probe.stat(SOCKET) is None:
            return {}
        answer = probe.query(Query("ctr", ("images", "ls")))
        if answer.code:
            return Unknown(f"containerd does not answer: {answer.stderr.strip()}")
        return parse_images(answer.stdout)


@dataclass(frozen=True, slots=True)
class ImagesPresent:
    """Whether containerd has all of these references; False also while it does not run."""

    references: tuple[str, ...]

    def load(self, probe: Probe) -> bool | Unknown:
        found = ContainerImages().load(probe)
        return found if isinstance(found, Unknown) else found.keys() >= set(self.references)


def parse_images(text: str) -> dict[str, str]:
    """``ctr images ls``: reference, type and digest are its first three columns."""
    rows = (line.split(maxsplit=3) for line in text.splitlines()[1:])
    return {row[0]: row[2] for row in rows if len(row) > 2}
