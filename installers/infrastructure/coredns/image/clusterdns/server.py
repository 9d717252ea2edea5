"""BIND's other half: updates and transfers over loopback."""

from __future__ import annotations

from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import dns.xfr
import dns.zone

from clusterdns.layout import KEY, TTL, Layout
from clusterdns.records import Record, batches, changes

CHANGES_PER_MESSAGE = 400
DEADLINE = 5.0
"""Seconds one exchange with BIND may take."""
BESIDES = frozenset({"SOA", "NS"})
"""Types at a zone's apex that belong to the zone file and not to the watcher."""


class Refused(RuntimeError):
    """BIND answered an update or a question with an error code."""


@dataclass
class Server:
    """A running BIND on loopback, seen by the watcher. Knows each zone's content by its serial."""

    layout: Layout
    secret: str
    _known: dict[str, tuple[int, frozenset[Record]]] = field(default_factory=dict)

    def make(self, zone: str, wanted: frozenset[Record]) -> int:
        """Make a zone's content what is wanted; returns the number of changes. Each name changes in one step."""
        groups = changes(self._live(zone), wanted | self._fixed(zone))
        count = sum(map(len, groups))
        for batch in batches(groups, CHANGES_PER_MESSAGE):
            self._update(zone, batch)
        if count:
            self._known[zone] = (self._serial(zone), wanted | self._fixed(zone))
        return count

    def _fixed(self, zone: str) -> frozenset[Record]:
        own = Record(self.layout.nameserver, "A", self.layout.address)
        return frozenset({own}) if zone == self.layout.domain else frozenset()

    def _live(self, zone: str) -> frozenset[Record]:
        serial = self._serial(zone)
        known = self._known.get(zone)
        if known is None or known[0] != serial:
            known = self._known[zone] = (serial, self._transfer(zone))
        return known[1]

    def _serial(self, zone: str) -> int:
        question = dns.message.make_query(zone, "SOA")
        question.flags &= ~dns.flags.RD
        answer = dns.query.udp(question, "127.0.0.1", port=self.layout.port, timeout=DEADLINE)
        for rrset in answer.answer:
            if rrset.rdtype == dns.rdatatype.SOA:
                return int(rrset[0].serial)
        raise Refused(f"{zone} SOA: {dns.rcode.to_text(answer.rcode())}")

    def _transfer(self, zone: str) -> frozenset[Record]:
        content = dns.zone.Zone(zone, relativize=False)
        query, _ = dns.xfr.make_query(content, keyring=dns.tsigkeyring.from_text({KEY: self.secret}), serial=None)
        dns.query.inbound_xfr(
            "127.0.0.1", content, query, port=self.layout.port, timeout=DEADLINE, lifetime=4 * DEADLINE
        )
        return frozenset(
            Record(name.to_text().lower(), dns.rdatatype.to_text(data.rdtype), data.to_text())
            for name, _, data in content.iterate_rdatas()
            if dns.rdatatype.to_text(data.rdtype) not in BESIDES
        )

    def _update(self, zone: str, batch: list[tuple[Record, bool]]) -> None:
        message = dns.update.UpdateMessage(zone, keyring=dns.tsigkeyring.from_text({KEY: self.secret}))
        for record, wanted in batch:
            if wanted:
                message.add(record.name, TTL, record.kind, record.value)
            else:
                message.delete(record.name, record.kind, record.value)
        answer = dns.query.tcp(message, "127.0.0.1", port=self.layout.port, timeout=DEADLINE)
        if answer.rcode() != dns.rcode.NOERROR:
            raise Refused(f"update of {zone}: {dns.rcode.to_text(answer.rcode())}")


FAULTS = (OSError, dns.exception.DNSException, Refused)
"""What an exchange with BIND may raise while it is away or restarting."""
