"""Tests of the encryption of users' secrets."""

from __future__ import annotations

import pytest

from app.runtime.encryption import DecryptionError, Encryption

SECRET = "whsec_ü " * 50


def test_decryption_needs_the_same_key_purpose_and_owner() -> None:
    encryption = Encryption("key", purpose="tests")
    encrypted = encryption.encrypt(SECRET, owner_id="one")
    assert Encryption("key", purpose="tests").decrypt(encrypted, owner_id="one") == SECRET
    assert encrypted.isascii()
    assert encrypted != encryption.encrypt(SECRET, owner_id="one")
    for other, owner_id in [
        (Encryption("another key", purpose="tests"), "one"),
        (Encryption("key", purpose="something else"), "one"),
        (encryption, "two"),
    ]:
        with pytest.raises(DecryptionError):
            other.decrypt(encrypted, owner_id=owner_id)


def test_a_changed_text_cannot_be_decrypted() -> None:
    encryption = Encryption("key", purpose="tests")
    encrypted = encryption.encrypt(SECRET, owner_id="one")
    other = "A" if encrypted[30] != "A" else "B"
    with pytest.raises(DecryptionError):
        encryption.decrypt(encrypted[:30] + other + encrypted[31:], owner_id="one")
