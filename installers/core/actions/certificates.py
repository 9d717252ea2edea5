"""Making certificate authorities and certificates, and taking them back."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import RestorePath, keep_before, make_parents
from installers.core.errors import Failure
from installers.core.facts.certificates import CertificateAt, CertificateState, now
from installers.core.facts.files import BeforeImage, before_image, ids_of
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe

EARLY = 5
"""Minutes by which a certificate is valid before it is made, for clocks that run behind."""


def _serial(mark: str) -> int:
    """Ours begins with the mark, by which we know it again; the rest is random, as a serial should be."""
    return int(mark + secrets.token_hex(8), 16)


def _write(host: Host, stem: str, *, certificate: bytes, key: bytes, uid: int = 0, gid: int = 0) -> None:
    """The certificate first: a key without a certificate is never ours, so nothing of a crash stays."""
    make_parents(host, f"{stem}.crt")
    for suffix in (".crt", ".key"):
        keep_before(host, before_image(host, stem + suffix), stem + suffix)
    host.write(f"{stem}.crt", certificate, mode=0o644, uid=uid, gid=gid)
    host.write(f"{stem}.key", key, mode=0o600, uid=uid, gid=gid)


def _restore(probe: Probe, stem: str, mark: str) -> RestoreCertificate:
    return RestoreCertificate(stem, mark, before_image(probe, f"{stem}.crt"), before_image(probe, f"{stem}.key"))


@dataclass(frozen=True, slots=True)
class MakeAuthority(BaseAction):
    """A self-signed authority over the key at ``<stem>.key``, which is made when there is none."""

    kind: ClassVar[str] = "make-authority"

    stem: str
    common_name: str
    mark: str
    days: int = 3650

    @property
    def target(self) -> str:
        return f"{self.stem}.crt"

    def describe(self) -> str:
        return f"make certificate authority {self.common_name} at {self.stem}.crt"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return _restore(probe, self.stem, self.mark)

    def execute(self, host: Host) -> Outcome:
        from cryptography import x509

        key = _read_key(host, self.stem) or _new_key()
        subject = _name(self.common_name, ())
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            _builder(subject, key, mark=self.mark, days=self.days, now=now(host))
            .issuer_name(subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        _write(host, self.stem, certificate=_signed(builder, key), key=_pem(key))
        return DONE


@dataclass(frozen=True, slots=True)
class MakeCertificate(BaseAction):
    """A certificate with a new key, signed by the authority whose files begin with ``authority``."""

    kind: ClassVar[str] = "make-certificate"

    stem: str
    authority: str
    common_name: str
    organisations: tuple[str, ...]
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    usages: tuple[str, ...]
    mark: str
    days: int = 365
    owner: str = "root"
    group: str = "root"

    @property
    def target(self) -> str:
        return f"{self.stem}.crt"

    def describe(self) -> str:
        return f"make certificate {self.common_name} at {self.stem}.crt"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return _restore(probe, self.stem, self.mark)

    def execute(self, host: Host) -> Outcome:
        from cryptography import x509

        ids = ids_of(host, self.owner, self.group)
        if ids is None:
            raise Failure("OLR-CERT-003", path=f"{self.stem}.crt", owner=self.owner, group=self.group)
        signer = _read_key(host, self.authority)
        if signer is None:
            raise Failure("OLR-CERT-002", path=f"{self.stem}.crt", authority=f"{self.authority}.key")
        authority = x509.load_pem_x509_certificate(host.read(f"{self.authority}.crt"))
        key = _new_key()
        builder = _builder(
            _name(self.common_name, self.organisations),
            key,
            mark=self.mark,
            days=self.days,
            now=now(host),
            latest=authority.not_valid_after_utc,
        ).issuer_name(authority.subject)
        for extension, critical in self._extensions(signer.public_key()):
            builder = builder.add_extension(extension, critical=critical)
        _write(host, self.stem, certificate=_signed(builder, signer), key=_pem(key), uid=ids[0], gid=ids[1])
        return DONE

    def _extensions(self, signer: Any) -> list[tuple[Any, bool]]:
        import ipaddress

        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        usage = x509.KeyUsage(
            digital_signature=True,
            key_encipherment=True,
            key_cert_sign=False,
            crl_sign=False,
            content_commitment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        oids = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
        extensions: list[tuple[Any, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (usage, True),
            (x509.ExtendedKeyUsage([oids[word] for word in self.usages]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), False),
        ]
        alternatives: list[Any] = [x509.DNSName(name) for name in self.names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in self.addresses]
        if alternatives:
            extensions.append((x509.SubjectAlternativeName(alternatives), False))
        return extensions


@dataclass(frozen=True, slots=True)
class RestoreCertificate(BaseAction):
    """Put back what lay at a certificate's two paths, while the present one still carries our mark."""

    kind: ClassVar[str] = "restore-certificate"

    stem: str
    mark: str
    certificate: BeforeImage
    key: BeforeImage

    @property
    def target(self) -> str:
        return f"{self.stem}.crt"

    def describe(self) -> str:
        gone = self.certificate.type == "absent"
        return f"remove certificate {self.stem}.crt" if gone else f"put certificate {self.stem}.crt back as it was"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("taking something back is not itself taken back")

    def past(self, older: Action) -> Action | None:
        if not isinstance(older, RestoreCertificate):
            return None
        return replace(self, certificate=older.certificate, key=older.key)

    def execute(self, host: Host) -> Outcome:
        present = CertificateAt(self.stem).load(host)
        if isinstance(present, CertificateState) and present.mark == self.mark:
            # The key first: as long as our certificate is there, a second try knows both as ours.
            for path, before in ((f"{self.stem}.key", self.key), (f"{self.stem}.crt", self.certificate)):
                left = host.digest(path) if host.stat(path) is not None else ""
                if (outcome := RestorePath(path, left, before).execute(host)) != DONE:
                    return outcome
            return DONE
        at = host.digest(f"{self.stem}.crt") if host.stat(f"{self.stem}.crt") is not None else ""
        if at == self.certificate.digest:
            return DONE
        return Left(f"{self.stem}.crt", "another certificate lies there now" if at else "it was removed since")


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _read_key(probe: Probe, stem: str) -> Any:
    """The private key beside a certificate, None when there is none that can be read."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if probe.stat(f"{stem}.key") is None:
        return None
    try:
        return load_pem_private_key(probe.read(f"{stem}.key"), None)
    except ValueError:
        return None


def _pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))


def _name(common_name: str, organisations: tuple[str, ...]) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation) for organisation in organisations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: Any, key: Any, *, mark: str, days: int, now: datetime, latest: Any = None) -> Any:
    from datetime import timedelta

    from cryptography import x509

    end = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(_serial(mark))
        .not_valid_before(now - timedelta(minutes=EARLY))
        .not_valid_after(end if latest is None else min(end, latest))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(builder: Any, key: Any) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    return bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


ACTIONS: tuple[type[BaseAction], ...] = (MakeAuthority, MakeCertificate, RestoreCertificate)
