"""What users confide to the service and it must be able to read again, encrypted at rest."""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class SealBroken(Exception):
    """It was sealed with another key, or for somebody else."""


class Seal:
    """Encrypts text (AES-256-GCM) with a key of its own for each purpose, from CONTEXT_SECRET_KEY.

    What is sealed for one owner does not open for another: a row that was swapped is no use.
    """

    def __init__(self, secret_key: str, *, purpose: str) -> None:
        key = HKDF(SHA256(), length=32, salt=None, info=purpose.encode())
        self._aead = AESGCM(key.derive(secret_key.encode()))

    def seal(self, text: str, *, owner_id: str) -> str:
        """Return the sealed form, of ASCII characters."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, text.encode(), owner_id.encode())
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, *, owner_id: str) -> str:
        """Return the text.

        Raises:
            SealBroken: It was sealed with another key, or for somebody else.
        """
        data = base64.b64decode(sealed)
        try:
            opened = self._aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], owner_id.encode())
        except InvalidTag:
            raise SealBroken from None
        return opened.decode()
