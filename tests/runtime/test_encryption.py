"""What users confide, encrypted."""

from __future__ import annotations

import pytest

from app.runtime.encryption import Seal, SealBroken

SECRET = "whsec_ü " * 50


def test_only_the_same_key_purpose_and_owner_open_it() -> None:
    seal = Seal("key", purpose="tests")
    sealed = seal.seal(SECRET, owner_id="one")
    assert Seal("key", purpose="tests").open(sealed, owner_id="one") == SECRET
    assert sealed.isascii()
    assert sealed != seal.seal(SECRET, owner_id="one")
    for other, owner_id in [
        (Seal("another key", purpose="tests"), "one"),
        (Seal("key", purpose="something else"), "one"),
        (seal, "two"),
    ]:
        with pytest.raises(SealBroken):
            other.open(sealed, owner_id=owner_id)


def test_what_was_changed_does_not_open() -> None:
    seal = Seal("key", purpose="tests")
    sealed = seal.seal(SECRET, owner_id="one")
    other = "A" if sealed[30] != "A" else "B"
    with pytest.raises(SealBroken):
        seal.open(sealed[:30] + other + sealed[31:], owner_id="one")
