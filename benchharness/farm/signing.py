"""Submissions are signed, and agents keep a list of whose they make: a suite is code.

Ed25519. A public key is written as its 32 bytes in base64, a signature as its 64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from benchharness.errors import UsageError
from benchharness.farm.certificates import write_secret

_PRIVATE, _PUBLIC = "signing.key", "signing.pub"
#: So that what is signed here is never taken for something else that somebody signs with the key.
_CONTEXT = b"benchharness submission 1\n"


def create(folder: Path) -> str:
    """Makes a key in a folder, unless there is one; its public half."""
    if not (folder / _PRIVATE).exists():
        key = Ed25519PrivateKey.generate()
        write_secret(
            folder / _PRIVATE,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        (folder / _PUBLIC).write_text(base64.b64encode(raw).decode() + "\n", encoding="utf-8")
    return (folder / _PUBLIC).read_text(encoding="utf-8").strip()


def sign(folder: Path, told: str) -> str:
    """The signature of a text by the key in a folder. Raises `UsageError`."""
    try:
        key = serialization.load_pem_private_key((folder / _PRIVATE).read_bytes(), None)
    except OSError as error:
        raise UsageError(
            f"{folder}: this pass has no signing key ({error.strerror}); only submitters have one"
        ) from error
    assert isinstance(key, Ed25519PrivateKey)
    return base64.b64encode(key.sign(_CONTEXT + told.encode())).decode()


def signed_by(told: str, signature: str, signer: str, keys: Mapping[str, str]) -> bool:
    """Whether one of these keys, called so, signed a text."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(keys[signer], validate=True))
        key.verify(base64.b64decode(signature, validate=True), _CONTEXT + told.encode())
    except (KeyError, binascii.Error, ValueError, InvalidSignature):
        return False
    return True
