"""Whether this machine is itself to others: names, ids, the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.facts.boards import ProxmoxVersion
from installers.core.facts.conditions import is_loopback
from installers.core.facts.identity import DefaultRoutes, HostAddresses, LocalAddresses, MachineIds, ResolvConf
from installers.core.model import Fact, Facts
from installers.precheck.check import BaseCheck, Failed, Passed, Severity, Verdict

SERVERS, DOMAINS = 3, 3
"""resolv.conf(5): more name servers are not asked. The kubelet of Kubernetes 1.20 keeps six search domains, three
of them the cluster's own.
"""


@dataclass(frozen=True, slots=True)
class ResolverFile(BaseCheck):
    """/etc/resolv.conf has no more in it than pods can be given."""

    id: ClassVar[str] = "resolv-conf"
    title: ClassVar[str] = "Name server file"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ResolvConf(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[ResolvConf()]
        if found is None:
            return Passed("there is none")
        if len(found.servers) > SERVERS:
            return Failed("OLR-PRE-046", {"count": len(found.servers), "unused": ", ".join(found.servers[SERVERS:])})
        if len(found.search) > DOMAINS:
            return Failed("OLR-PRE-047", {"count": len(found.search), "unused": ", ".join(found.search[DOMAINS:])})
        kept = "by hand or by nobody seen" if found.manager == "static" else f"by {found.manager}"
        stub = ", which answers here on loopback; pods ask the servers behind it"
        served = stub if found.manager == "systemd-resolved" and all(map(is_loopback, found.servers)) else ""
        return Passed(f"kept {kept}{served}")


@dataclass(frozen=True, slots=True)
class OwnEntry(BaseCheck):
    """What /etc/hosts says of this machine's name is not an address it had once."""

    id: ClassVar[str] = "host-entry"
    title: ClassVar[str] = "Own name in /etc/hosts"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (HostAddresses(), LocalAddresses(), ProxmoxVersion())

    def judge(self, facts: Facts) -> Verdict:
        found, local = facts[HostAddresses()], facts[LocalAddresses()]
        stale = [one for one in found if ":" not in one and not is_loopback(one) and one not in local]
        if stale:
            return Failed("OLR-PRE-048", {"stale": ", ".join(stale)})
        if facts[ProxmoxVersion()] is not None and found and all(map(is_loopback, found)):
            return Failed("OLR-PRE-049", {"found": ", ".join(found)})
        return Passed(", ".join(found) or "it is not in there")


@dataclass(frozen=True, slots=True)
class OwnIds(BaseCheck):
    """The ids that must be this machine's alone do not look copied."""

    id: ClassVar[str] = "machine-id"
    title: ClassVar[str] = "Machine id"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (MachineIds(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[MachineIds()]
        if found.machine != "ok":
            return Failed("OLR-PRE-050", {"reason": f"/etc/machine-id is {found.machine}"})
        if found.dbus == "differs":
            reason = "/etc/machine-id and /var/lib/dbus/machine-id differ, as in a copy that was renamed half"
            return Failed("OLR-PRE-050", {"reason": reason})
        if found.product == "placeholder":
            return Failed("OLR-PRE-051", {}, severity="info")
        return Passed("set")


@dataclass(frozen=True, slots=True)
class OneWayOut(BaseCheck):
    """One default route is used, and it is clear which."""

    id: ClassVar[str] = "default-routes"
    title: ClassVar[str] = "Default routes"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (DefaultRoutes(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[DefaultRoutes()]
        if not found:
            return Passed("none")
        rivals = [route.link for route in found if route.metric == found[0].metric]
        if len(set(rivals)) > 1:
            return Failed("OLR-PRE-052", {"links": ", ".join(dict.fromkeys(rivals))})
        rest = ", ".join(dict.fromkeys(route.link for route in found if route.link != found[0].link))
        return Passed(f"{found[0].link}{f', before {rest}' if rest else ''}")
