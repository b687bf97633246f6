"""Tests of encodings of text."""

from __future__ import annotations

import pytest

from processing_context.convert.text import decode_text, encode_text

TEXT = "Grüße, 你好 😀\r\n\0"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_detected(encoding: str) -> None:
    assert decode_text(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_both_byte_orders_are_detected(encoding: str, order: str) -> None:
    assert decode_text(("\ufeff" + TEXT).encode(f"{encoding}-{order}")) == TEXT


def test_a_declared_charset_is_used_where_it_is_needed() -> None:
    latin = "Grüße".encode("iso-8859-1")
    assert decode_text(latin) is None
    assert decode_text(latin, "iso-8859-1") == "Grüße"
    assert decode_text(latin, "no-such-charset") is None
    assert decode_text("Grüße".encode(), "iso-8859-1") == "Grüße"


def test_the_empty_text_is_kept() -> None:
    assert decode_text(encode_text("")) == ""


def test_an_unpaired_surrogate_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate at position 1"):
        encode_text("a\ud800")
