"""Tests of the media types shared by the service and the client."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from processing_context.wire.assets import ContentType
from processing_context.wire.media_types import (
    HEAD_BYTES,
    content_type_of,
    essence,
    extension_of,
    guess,
    image_type,
    is_generic,
    is_media,
    kind_of,
    sniff,
)

CONTENT_TYPE: TypeAdapter[str] = TypeAdapter(ContentType)


def ftyp(*brands: bytes) -> bytes:
    major, *compatible = brands
    box = b"ftyp" + major + b"\0\0\2\0" + b"".join(compatible)
    return (len(box) + 4).to_bytes(4, "big") + box


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"BM6\x30", "image/bmp"),
        (b"II*\0", "image/tiff"),
        (b"MM\0*", "image/tiff"),
        (b"II+\0", "image/tiff"),
        (b"MM\0+", "image/tiff"),
        (b"\0\0\1\0\1\0", "image/x-icon"),
        (b"8BPS\0\1", "image/vnd.adobe.photoshop"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
        (b"\xff\x0a", "image/jxl"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"RIFF\x24\0\0\0AVI LIST", "video/x-msvideo"),
        (b"RIFF\x24\0\0\0CDXA", None),
        (b"1234\x24\0\0\0WEBPVP8 ", None),
        (ftyp(b"avif", b"mif1"), "image/avif"),
        (ftyp(b"avis", b"msf1", b"iso8"), "image/avif"),
        (ftyp(b"heic", b"mif1", b"heic"), "image/heic"),
        (ftyp(b"heix", b"mif1"), "image/heic"),
        (ftyp(b"mif1", b"heic"), "image/heic"),
        (ftyp(b"mif1", b"miaf"), "image/heif"),
        (ftyp(b"MiHB", b"mif1", b"heic"), "image/heic"),
        (ftyp(b"msf1"), "image/heif"),
        (ftyp(b"isom", b"iso2", b"mp41"), "video/mp4"),
        (ftyp(b"isom", b"avif"), "video/mp4"),
        (ftyp(b"3gp5", b"isom"), "video/mp4"),
        (ftyp(b"qt  "), "video/quicktime"),
        (ftyp(b"M4A ", b"mp42"), "audio/mp4"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\x42\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\x42\x82\x88matroska", "video/x-matroska"),
        (b"fLaC\0", "audio/flac"),
        (b"OggS" + bytes(24) + b"OpusHead", "audio/opus"),
        (b"OggS" + bytes(24) + b"\x01vorbis", "audio/ogg"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"\xff\xf3\x90", "audio/mpeg"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PAR1", "application/vnd.apache.parquet"),
        (b"ARROW1\0\0", "application/vnd.apache.arrow.file"),
        (b"\x93NUMPY\1", "application/x-npy"),
        (b"<svg/>", None),
        (b"hello", None),
        (b"", None),
    ],
)
def test_the_first_bytes_show_the_type(head: bytes, content_type: str | None) -> None:
    assert sniff(head) == content_type
    assert sniff((head + bytes(HEAD_BYTES))[:HEAD_BYTES]) == content_type
    if content_type is not None and content_type.startswith("image/"):
        assert image_type(head) == content_type
    else:
        with pytest.raises(ValueError, match="image"):
            image_type(head)


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.png", "image/png"),
        ("A.PNG", "image/png"),
        ("a.webp", "image/webp"),
        ("a.wav", "audio/wav"),
        ("a.flac", "audio/flac"),
        ("a.md", "text/markdown"),
        ("a.txt", "text/plain"),
        ("a.json", "application/json"),
        ("a.jsonl", "application/jsonl"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("a.tar", "application/x-tar"),
        ("a.tar.gz", "application/gzip"),
        ("a.tgz", "application/gzip"),
        ("a.txt.bz2", "application/x-bzip2"),
        ("data:text/html,a.csv", "text/csv"),
        (".json", "application/json"),
        ("json", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.nothing-known", "application/octet-stream"),
    ],
)
def test_the_type_comes_from_the_name(name: str, content_type: str) -> None:
    assert guess(name) == content_type


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("image/png", "png"),
        ("IMAGE/JPEG; q=1", "jpg"),
        ("image/webp", "webp"),
        ("image/x-icon", "ico"),
        ("image/vnd.microsoft.icon", "ico"),
        ("image/vnd.adobe.photoshop", "psd"),
        ("image/jp2", "jp2"),
        ("image/jxl", "jxl"),
        ("image/heif", "heif"),
        ("audio/mpeg", "mp3"),
        ("audio/wav", "wav"),
        ("audio/mp4", "m4a"),
        ("video/mp4", "mp4"),
        ("text/plain; charset=utf-8", "txt"),
        ("text/csv", "csv"),
        ("application/gzip", "gz"),
        ("application/octet-stream", "bin"),
        ("a/b", "bin"),
    ],
)
def test_a_type_has_an_extension(content_type: str, extension: str) -> None:
    assert extension_of(content_type) == extension
    assert extension_of("a/b", default="") == ""


@pytest.mark.parametrize(
    ("declared", "is_used"),
    [
        ("text/csv", True),
        ("Text/CSV; charset=utf-8", True),
        ('text/plain; charset="utf-8"; title="a;b=c"', True),
        (None, False),
        ("", False),
        ("application/octet-stream", False),
        ("binary/octet-stream", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("folder", False),
        ("png", False),
        ("a/b/c", False),
        ("text/plain;\x1cx=y", False),
        ("text/plain\n", False),
        ("a/" + "b" * 254, False),
        ("a/b" + ";a=b" * 62 + "\n", False),
    ],
)
def test_a_declared_type_is_used_if_it_carries_information(
    declared: str | None, is_used: bool
) -> None:
    assert is_generic(declared) is not is_used
    assert content_type_of(declared, b"%PDF-") == (declared if is_used else "application/pdf")


def test_bytes_count_more_than_the_name() -> None:
    assert content_type_of(None, b"%PDF-", "a.txt") == "application/pdf"
    assert content_type_of(None, b"hello", "a.txt") == "text/plain"
    assert content_type_of(None, b"", "") == "application/octet-stream"


@given(st.from_regex(r"[a-z]/[a-z]([ \t\x1c\x85;]{1,3}[a-z]=[a-z;= \t]{0,3}){0,3}\n?"))
def test_no_declared_type_is_used_that_the_models_refuse(declared: str) -> None:
    if not is_generic(declared):
        assert CONTENT_TYPE.validate_python(declared) == declared
        return
    try:
        CONTENT_TYPE.validate_python(declared)
    except ValidationError:
        return
    # The patterns are equal except for control characters after the semicolon of the second
    # parameter.
    assert "\t" in declared


def test_types_are_read_without_their_parameters() -> None:
    assert essence(" Image/PNG ; x=y") == "image/png"
    assert kind_of("Image/PNG;x=y") == "image"
    assert [is_media(kind) for kind in ("image/png", "audio/wav", "video/mp4", "text/csv")] == [
        True,
        True,
        True,
        False,
    ]


def test_they_need_neither_pydantic_nor_the_machines_tables() -> None:
    code = (
        "import mimetypes, sys; mimetypes.knownfiles.clear(); mimetypes.init()\n"
        "mimetypes.add_type('text/wrong', '.png')\n"
        "from processing_context.wire import media_types\n"
        "print(media_types.guess('a.png'), 'pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["image/png", "False"]
