"""X.509 certificates on this host: what a certificate says and whether its key lies beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from installers.core.facts.files import names_of
from installers.core.model import Probe, Unknown


@dataclass(frozen=True, slots=True)
class CertificateState:
    """A certificate and the key beside it.

    ``key_id`` and ``issuer_key_id``: subject and authority key identifiers in hex, "" when not known
    yet. ``mark``: the first 16 hex digits of the serial number, by which we know our own again.
    ``days_left``: whole days until it ends, negative afterwards. ``key_mode`` is 0 without a key.
    """

    common_name: str
    organisations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    usages: tuple[str, ...] = ()
    authority: bool = False
    key_id: str = ""
    issuer_key_id: str = ""
    mark: str = ""
    days_left: int = 0
    key_matches: bool = False
    key_mode: int = 0
    key_owner: str = "root"


@dataclass(frozen=True, slots=True)
class CertificateAt:
    """The certificate at ``<stem>.crt`` with its key at ``<stem>.key``; None when there is no certificate."""

    stem: str

    def load(self, probe: Probe) -> CertificateState | Unknown | None:
        if probe.stat(f"{self.stem}.crt") is None:
            return None
        stat = probe.stat(f"{self.stem}.key")
        key = probe.read(f"{self.stem}.key") if stat is not None and stat.is_file else None
        mode, owner = (stat.permissions, names_of(probe, stat.uid, stat.gid)[0]) if stat is not None else (0, "root")
        try:
            return parse_certificate(probe.read(f"{self.stem}.crt"), key, now=now(probe), mode=mode, owner=owner)
        except ValueError as error:
            return Unknown(f"{self.stem}.crt is not a certificate: {error}")


def now(probe: Probe) -> datetime:
    """The machine's clock, read like everything else: boot time and time since."""
    lines = probe.read("/proc/stat").decode().splitlines()
    booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return datetime.fromtimestamp(booted + float(probe.read("/proc/uptime").split()[0]), UTC)


def parse_certificate(
    pem: bytes, key: bytes | None, *, now: datetime, mode: int = 0o600, owner: str = "root"
) -> CertificateState:
    """The first certificate of a PEM text; ``ValueError`` when there is none in it."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    certificate = x509.load_pem_x509_certificate(pem)
    subject = certificate.subject
    common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names, addresses = _alternative_names(certificate)
    constraints = _extension(certificate, x509.BasicConstraints)
    own = _extension(certificate, x509.SubjectKeyIdentifier)
    issuer = _extension(certificate, x509.AuthorityKeyIdentifier)
    return CertificateState(
        common_name=str(common[0].value) if common else "",
        organisations=tuple(
            sorted(str(part.value) for part in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
        ),
        names=names,
        addresses=addresses,
        usages=_usages(certificate),
        authority=constraints is not None and constraints.ca,
        key_id=own.digest.hex() if own is not None else "",
        issuer_key_id=(issuer.key_identifier or b"").hex() if issuer is not None else "",
        mark=f"{certificate.serial_number:032x}"[:16],
        days_left=(certificate.not_valid_after_utc - now).days,
        key_matches=key is not None and _public_half(key) == _spki(certificate.public_key()),
        key_mode=mode if key is not None else 0,
        key_owner=owner,
    )


def _extension(certificate: Any, kind: type[Any]) -> Any:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _alternative_names(certificate: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from cryptography import x509

    found = _extension(certificate, x509.SubjectAlternativeName)
    if found is None:
        return (), ()
    names = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    return tuple(sorted(names)), tuple(sorted(str(address) for address in addresses))


def _usages(certificate: Any) -> tuple[str, ...]:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    found = _extension(certificate, x509.ExtendedKeyUsage) or ()
    words = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}
    return tuple(sorted(words.get(oid, oid.dotted_string) for oid in found))


def _public_half(key: bytes) -> bytes:
    """The public key of a PEM private key, b"" for one that cannot be read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return _spki(load_pem_private_key(key, None).public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return b""


def _spki(public: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return bytes(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
