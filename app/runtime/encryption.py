"""Encryption at rest of users' secrets that the service has to read again."""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class DecryptionError(Exception):
    """The text was encrypted with another key or for another owner, or it is damaged."""


class Encryption:
    """AES-256-GCM encryption with a key that is derived from CONTEXT_SECRET_KEY for one purpose.

    The owner's id is authenticated too, so a text that is moved to another owner's row cannot be
    decrypted there.
    """

    def __init__(self, secret_key: str, *, purpose: str) -> None:
        key = HKDF(SHA256(), length=32, salt=None, info=purpose.encode())
        self._aead = AESGCM(key.derive(secret_key.encode()))

    def encrypt(self, text: str, *, owner_id: str) -> str:
        """Return the encrypted text, in ASCII characters."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        encrypted = self._aead.encrypt(nonce, text.encode(), owner_id.encode())
        return base64.b64encode(nonce + encrypted).decode()

    def decrypt(self, encrypted: str, *, owner_id: str) -> str:
        """Return the text.

        Raises:
            DecryptionError: It was encrypted with another key or for another owner, or is damaged.
        """
        data = base64.b64decode(encrypted)
        try:
            text = self._aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], owner_id.encode())
        except InvalidTag:
            raise DecryptionError from None
        return text.decode()
