"""Making network links and deleting those we made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.errors import Failure
from installers.core.facts.network import Links, LinkState
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe, Unknown

SECONDS = 20.0


def _links(probe: Probe) -> Mapping[str, LinkState]:
    links = Links().load(probe)
    if isinstance(links, Unknown):
        raise Failure("OLR-LINK-002", reason=links.reason)
    return links


@dataclass(frozen=True, slots=True)
class MakeLink(BaseAction):
    """A link of this kind, its addresses added, set up. What it has beyond that is left alone."""

    kind: ClassVar[str] = "make-link"

    name: str
    link_kind: str
    addresses: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"make {self.link_kind} {self.name}{' with ' if self.addresses else ''}{', '.join(self.addresses)}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        present = _links(probe).get(self.name)
        if present is None:
            return DeleteLink(self.name, self.link_kind)
        added = tuple(address for address in self.addresses if address not in present.addresses)
        return RestoreLink(self.name, self.link_kind, added, present.up)

    def execute(self, host: Host) -> Outcome:
        present = _links(host).get(self.name)
        if present is None:
            host.run(["ip", "link", "add", "name", self.name, "type", self.link_kind], timeout=SECONDS)
        for address in self.addresses:
            if present is None or address not in present.addresses:
                host.run(["ip", "address", "add", address, "dev", self.name], timeout=SECONDS)
        host.run(["ip", "link", "set", self.name, "up"], timeout=SECONDS)
        return DONE


@dataclass(frozen=True, slots=True)
class DeleteLink(BaseAction):
    """Delete a link that was not there before; one of another kind by now is somebody else's."""

    kind: ClassVar[str] = "delete-link"

    name: str
    link_kind: str

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"delete {self.link_kind} {self.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("taking something back is not itself taken back")

    def execute(self, host: Host) -> Outcome:
        present = _links(host).get(self.name)
        if present is None:
            return DONE
        if present.kind != self.link_kind:
            return Left(self.name, f"it is a {present.kind or 'device'} now")
        host.run(["ip", "link", "delete", self.name], timeout=SECONDS)
        return DONE


@dataclass(frozen=True, slots=True)
class RestoreLink(BaseAction):
    """Take away the addresses we added to a link that was there before, and set it down if it was."""

    kind: ClassVar[str] = "restore-link"

    name: str
    link_kind: str
    added: tuple[str, ...]
    was_up: bool

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"put {self.link_kind} {self.name} back as it was"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("taking something back is not itself taken back")

    def execute(self, host: Host) -> Outcome:
        present = _links(host).get(self.name)
        if present is None:
            return DONE
        for address in self.added:
            if address in present.addresses:
                host.run(["ip", "address", "del", address, "dev", self.name], timeout=SECONDS)
        if present.up and not self.was_up:
            host.run(["ip", "link", "set", self.name, "down"], timeout=SECONDS)
        return DONE


ACTIONS: tuple[type[BaseAction], ...] = (MakeLink, DeleteLink, RestoreLink)
