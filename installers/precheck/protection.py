"""Whether what stands guard lets a cluster work: firewalls, SELinux, AppArmor; who else manages links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from installers.core.facts.allowances import READERS
from installers.core.facts.conditions import EntryNames
from installers.core.facts.firewall import Firewall
from installers.core.facts.managers import PackageManager
from installers.core.facts.packages import PackageVersion
from installers.core.facts.protection import (
    ApparmorState,
    FirewallManagers,
    IptablesFlavour,
    LeavesAlone,
    SelinuxState,
    ServiceRuns,
)
from installers.core.model import Fact, Facts
from installers.precheck.check import BaseCheck, Failed, Passed, Severity, Verdict


@dataclass(frozen=True, slots=True)
class FirewallOn(BaseCheck):
    """A firewall that is on is said, with what the install opens in it, or what its owner has to."""

    pods: str
    services: str

    id: ClassVar[str] = "firewall"
    title: ClassVar[str] = "Firewall"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (FirewallManagers(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[FirewallManagers()]
        if not found:
            return Passed("none that we know is on")
        foreign = [name for name in found if name not in READERS]
        if foreign:
            how = f"let {self.pods} and {self.services} and port 6443 through in {', '.join(foreign)}"
            return Failed("OLR-PRE-053", {"found": ", ".join(found), "how": how})
        how = (
            f"nothing: the install has {' and '.join(found)} let {self.pods}, {self.services} and port 6443/tcp through"
        )
        return Failed("OLR-PRE-053", {"found": ", ".join(found), "how": how}, severity="info")


@dataclass(frozen=True, slots=True)
class Forwarding(BaseCheck):
    """Packets from pod to pod are let through. Docker and ufw set the policy that drops them."""

    id: ClassVar[str] = "forward-policy"
    title: ClassVar[str] = "Forwarded packets"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (Firewall(), FirewallManagers())

    def judge(self, facts: Facts) -> Verdict:
        chains = {(table, chain): policy for table, chain, policy in facts[Firewall()].chains}
        policy = chains.get(("filter", "FORWARD"), "ACCEPT")
        # Some clouds' images end the chain with a rule for everything, which is a policy in all but name.
        rules = [rule for rule in facts[Firewall()].rules if (rule.table, rule.chain) == ("filter", "FORWARD")]
        if rules and rules[-1].text.startswith(("-j REJECT", "-j DROP")):
            if "firewalld" in facts[FirewallManagers()] and ("filter", "FORWARD_ZONES") in chains:
                return Passed("refused by firewalld, which the install has let those of pods through")
            return Failed("OLR-PRE-070", {"rule": rules[-1].text})
        if policy == "ACCEPT":
            return Passed("accepted where no rule says otherwise")
        docker = ("filter", "DOCKER-USER") in chains
        if not docker and "ufw" in facts[FirewallManagers()]:
            return Passed("dropped by ufw, which the install has let those of pods through")
        return Failed("OLR-PRE-054", {"policy": policy, "who": "Docker" if docker else "a firewall"})


@dataclass(frozen=True, slots=True)
class OneRuleSet(BaseCheck):
    """One set of firewall rules, not two that do not see each other; and no version known to be broken."""

    id: ClassVar[str] = "iptables"
    title: ClassVar[str] = "iptables"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (IptablesFlavour(), PackageVersion("iptables"))

    def judge(self, facts: Facts) -> Verdict:
        found = facts[IptablesFlavour()]
        if found.flavour == "nft" and found.legacy_tables:
            return Failed("OLR-PRE-055", {"tables": ", ".join(found.legacy_tables)})
        version = facts[PackageVersion("iptables")] or ""
        if re.match(r"1\.8\.[0-4]\b", version):
            return Failed("OLR-PRE-071", {"version": version})
        return Passed({"nft": "nf_tables", "": "not installed yet"}.get(found.flavour, found.flavour))


CLOUD_SETUP = EntryNames("/etc/systemd/system/timers.target.wants", "nm-cloud-setup.timer")


@dataclass(frozen=True, slots=True)
class NetworkManagerRule(BaseCheck):
    """NetworkManager leaves the links of pods alone, and the routing rules too."""

    id: ClassVar[str] = "network-manager"
    title: ClassVar[str] = "NetworkManager"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ServiceRuns("NetworkManager.service"), LeavesAlone(), CLOUD_SETUP)

    def judge(self, facts: Facts) -> Verdict:
        if not facts[ServiceRuns("NetworkManager.service")]:
            return Passed("it does not run here")
        if facts[CLOUD_SETUP]:
            return Failed("OLR-PRE-072", {})
        if any(pattern.startswith("interface-name:cali") for pattern in facts[LeavesAlone()]):
            return Passed("it leaves cali* alone")
        return Failed("OLR-PRE-056", {}, severity="info")


BY_HAND = "install it (`dnf install {packages}`; k3s-selinux comes from K3s's own repository, see OLR-PKG-030)"


@dataclass(frozen=True, slots=True)
class SelinuxPolicy(BaseCheck):
    """Where SELinux enforces, the policy for containers is installed, or its distribution's manager installs it."""

    kube: str
    edition: str

    id: ClassVar[str] = "selinux"
    title: ClassVar[str] = "SELinux policy"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (SelinuxState(), PackageManager())

    def judge(self, facts: Facts) -> Verdict:
        found = facts[SelinuxState()]
        if found is None:
            return Passed("SELinux is off")
        missing = found.missing(("container-selinux", *(("k3s-selinux",) if self.kube == "k3s" else ())))
        if missing and found.mode == "enforcing":
            manager = facts[PackageManager()]
            ours = self.edition == "upstream" and manager is not None and manager.name in ("dnf", "zypper")
            fields = {"missing": " and ".join(missing), "how": BY_HAND.format(packages=" ".join(missing))}
            if manager is not None and manager.name == "apt":
                fields["how"] = (
                    "nothing: containers get no labels of their own, and run as any service without a policy does"
                )
                return Failed("OLR-PRE-057", fields, severity="info")
            if ours and manager is not None and "k3s-selinux" not in missing:
                fields["how"] = f"nothing: the install has {manager.name} install it"
                return Failed("OLR-PRE-057", fields, severity="info")
            return Failed("OLR-PRE-057", fields)
        return Passed(f"{found.mode}, {'without ' + ' and '.join(missing) if missing else 'with its policy'}")


@dataclass(frozen=True, slots=True)
class ApparmorParser(BaseCheck):
    """Where AppArmor is on, the program that loads profiles is there."""

    id: ClassVar[str] = "apparmor"
    title: ClassVar[str] = "AppArmor's program"
    severity: ClassVar[Severity] = "warning"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ApparmorState(),)

    def judge(self, facts: Facts) -> Verdict:
        found = facts[ApparmorState()]
        if not found.enabled:
            return Passed("AppArmor is off")
        return Passed("apparmor_parser is there") if found.parser else Failed("OLR-PRE-058", {})
