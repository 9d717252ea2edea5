"""Certificate authorities and the certificates they sign."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import Any

from installers.core.actions.certificates import MakeAuthority, MakeCertificate
from installers.core.facts.certificates import CertificateAt, CertificateState
from installers.core.model import Blocked, Change, Decision, Fact, Facts, Satisfied

RENEW = 30
"""Days before its end at which a certificate is renewed."""


def _next_mark(stem: str, present: CertificateState | None) -> str:
    """By which the next certificate here will be known: its own name, so it is no secret, but no other's."""
    former = present.mark if present is not None else ""
    return hashlib.sha256(f"{stem}\n{former}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A self-signed authority: ``<directory>/<name>.crt`` and ``.key`` (0600). Its key outlives renewals."""

    name: str
    directory: str
    common_name: str = ""

    @property
    def stem(self) -> str:
        return f"{self.directory}/{self.name}"

    @property
    def key(self) -> str:
        return f"file:{self.stem}.crt"

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return (CertificateAt(self.stem),)

    def decide(self, facts: Facts) -> Decision:
        present = facts[CertificateAt(self.stem)]
        why = self._why(present)
        if not why:
            assert present is not None  # noqa: S101 (a reason is given otherwise)
            if present.key_mode & 0o077:
                # A new authority would break every certificate out there, so a person has to say it.
                return Blocked("OLR-CERT-001", {"path": f"{self.stem}.key", "mode": f"{present.key_mode:04o}"})
            return Satisfied(f"{present.common_name} is good for {present.days_left} days")
        common_name = self.common_name or self.name
        action = MakeAuthority(self.stem, common_name, _next_mark(self.stem, present))
        made = CertificateState(common_name, authority=True, days_left=action.days, key_matches=True, key_mode=0o600)
        return Change((action,), why, {CertificateAt(self.stem): made})

    def _why(self, present: CertificateState | None) -> str:
        if present is None:
            return "there is no such authority"
        if not present.authority:
            return f"{self.stem}.crt is not an authority's certificate"
        if not present.key_matches:
            return "its key is missing or is another one"
        if present.days_left < RENEW:
            return f"it ends in {present.days_left} days"
        return ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate signed by one of our authorities: ``<directory>/<name>.crt`` and ``.key`` (0600).

    ``sans``: DNS names and IP addresses it is valid for. ``usages``: of ``server`` and ``client``.
    ``owner`` and ``group`` may read the files' directory entry; only the owner reads the key.
    """

    name: str
    ca: CertificateAuthority
    directory: str
    common_name: str
    organisations: tuple[str, ...] = ()
    sans: tuple[str, ...] = ()
    usages: tuple[str, ...] = ("server",)
    owner: str = "root"
    group: str = "root"

    @property
    def stem(self) -> str:
        return f"{self.directory}/{self.name}"

    @property
    def key(self) -> str:
        return f"file:{self.stem}.crt"

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return (CertificateAt(self.stem), CertificateAt(self.ca.stem))

    def decide(self, facts: Facts) -> Decision:
        authority = facts[CertificateAt(self.ca.stem)]
        if authority is None:
            return Blocked("OLR-CERT-002", {"path": f"{self.stem}.crt", "authority": f"{self.ca.stem}.crt"})
        present = facts[CertificateAt(self.stem)]
        names, addresses = split_sans(self.sans)
        wanted = CertificateState(
            self.common_name,
            tuple(sorted(self.organisations)),
            names,
            addresses,
            tuple(sorted(self.usages)),
            issuer_key_id=authority.key_id,
            key_owner=self.owner,
        )
        why = "there is no such certificate" if present is None else _differs(present, wanted)
        if not why:
            return Satisfied(f"{self.common_name} is good for {present.days_left if present else 0} days")
        action = MakeCertificate(
            self.stem,
            self.ca.stem,
            self.common_name,
            wanted.organisations,
            names,
            addresses,
            wanted.usages,
            _next_mark(self.stem, present),
            owner=self.owner,
            group=self.group,
        )
        return Change((action,), why)


def split_sans(sans: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Alternative names as DNS names and canonical IP addresses, each sorted and once."""
    names: set[str] = set()
    addresses: set[str] = set()
    for san in sans:
        try:
            addresses.add(str(ipaddress.ip_address(san)))
        except ValueError:
            names.add(san)
    return tuple(sorted(names)), tuple(sorted(addresses))


def _differs(present: CertificateState, wanted: CertificateState) -> str:
    """Why a certificate has to be made again, or ""."""
    for what, is_, should in (
        ("its name", present.common_name, wanted.common_name),
        ("its organisations", present.organisations, wanted.organisations),
        ("its DNS names", present.names, wanted.names),
        ("its addresses", present.addresses, wanted.addresses),
        ("its usages", present.usages, wanted.usages),
        ("its key's owner", present.key_owner, wanted.key_owner),
    ):
        if is_ != should:
            return f"{what} differ: {_shown(is_)}, should be {_shown(should)}"
    if present.issuer_key_id != wanted.issuer_key_id or not present.issuer_key_id:
        return "another authority signed it"
    if not present.key_matches:
        return "its key is missing or is another one"
    if present.key_mode & 0o077:
        return f"its key could be read by others (mode {present.key_mode:04o})"
    if present.days_left < RENEW:
        return f"it ends in {present.days_left} days"
    return ""


def _shown(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value) or "none"
