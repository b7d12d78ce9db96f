"""A farm's certificates: its authority, the server's, one for each member, and the list of those that are revoked.

Who holds a member's key *is* that role for the server, so keys are made readable for their owner alone.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_TEN_YEARS = datetime.timedelta(days=3650)
#: Clocks differ.
_SINCE = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both as PEM."""

    certificate: bytes
    key: bytes

    @property
    def serial(self) -> int:
        """The certificate's number, by which it is revoked."""
        return x509.load_pem_x509_certificate(self.certificate).serial_number


class Authority:
    """Signs the certificates of one farm. `folder` holds its key, which never leaves it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pair = Pair((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())

    @classmethod
    def create(cls, folder: Path, name: str) -> Authority:
        """A new authority, and an empty list of what it revoked."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        # Two farms of one name differ: else a foreign certificate looks like a damaged one of ours.
        subject = _named(f"farm {name} {secrets.token_hex(4)}")
        made = (
            _begun(subject, subject, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        write_secret(folder / "ca.key", _pem(key))
        (folder / "ca.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        authority = cls(folder)
        authority.revoke([])
        return authority

    @property
    def certificate(self) -> bytes:
        """What everybody checks the others by."""
        return self._pair.certificate

    def server(self, names: Sequence[str]) -> Pair:
        """For a server that is reached by these names or addresses."""
        return self._sign(names[0], ExtendedKeyUsageOID.SERVER_AUTH, names)

    @property
    def mark(self) -> str:
        """What stands in each member's certificate as its unit: a server may believe other authorities too."""
        return f"farm-{self._certificate.subject.rfc4514_string().rpartition(' ')[2]}"

    def member(self, role: str) -> Pair:
        """For a member, whose role is the certificate's name."""
        return self._sign(role, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def revoke(self, serials: Iterable[int]) -> None:
        """Puts these on the list of all that is revoked, `revoked.crl`. Nothing ever leaves it."""
        now = datetime.datetime.now(datetime.UTC)
        # A list that is out of date lets nobody in: it stays good until the next one is written.
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - _SINCE)
            .next_update(now + _TEN_YEARS)
        )
        for serial in sorted({*self._revoked(), *serials}):
            each = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - _SINCE).build()
            made = made.add_revoked_certificate(each)
        self._list.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    @property
    def _list(self) -> Path:
        return self._folder / "revoked.crl"

    def _revoked(self) -> list[int]:
        if not self._list.exists():
            return []
        return [each.serial_number for each in x509.load_pem_x509_crl(self._list.read_bytes())]

    @property
    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self._pair.certificate)

    @property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self._pair.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def _sign(self, name: str, use: x509.ObjectIdentifier, reached_by: Sequence[str]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            _begun(_named(name, self.mark), self._certificate.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        )
        if reached_by:
            made = made.add_extension(x509.SubjectAlternativeName([_reached(each) for each in reached_by]), False)
        signed = made.sign(self._key, hashes.SHA256())
        return Pair(signed.public_bytes(serialization.Encoding.PEM), _pem(key))


def write_secret(path: Path, content: bytes) -> None:
    """Writes a file that its owner alone may read, from its first moment on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SINCE)
        .not_valid_after(now + _TEN_YEARS)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str, unit: str = "") -> x509.Name:
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    return x509.Name([*units, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _reached(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
