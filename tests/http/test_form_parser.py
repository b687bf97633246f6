"""Tests of the streaming form parser."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.http.form_parser import FormReader, MalformedForm, Part
from app.http.problems import TooLarge

HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n'
END = b"\r\n--b--\r\n"


def reader(*pieces: bytes, boundary: str = "b") -> FormReader:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return FormReader(f"multipart/form-data; boundary={boundary}", body())


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def parts_of(form: FormReader) -> list[tuple[Part, bytes]]:
    parts = []
    while (part := await form.next_part()) is not None:
        parts.append((part, b"".join([chunk async for chunk in form.chunks()])))
    return parts


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 1000])
async def test_parts_are_the_same_however_the_body_is_cut(size: int) -> None:
    content = b"\r\n--\r\n--c\r\n-\r" * 9
    body = (
        b'--b\r\nContent-Disposition: form-data; name="json"\r\n\r\n{}\r\n'
        + b"--b\r\ncontent-type: text/plain; charset=utf-8 \r\n"
        + b'Content-Disposition: form-data; name="f"; filename=""\r\n\r\n\r\n'
        + HEAD % "ü%22%0A.csv".encode()
        + content
        + END
        + b"epilogue"
    )
    form = reader(*(body[at : at + size] for at in range(0, len(body), size)))
    assert await parts_of(form) == [
        (Part("json", None, None), b"{}"),
        (Part("f", "", "text/plain; charset=utf-8"), b""),
        (Part("file", 'ü"\n.csv', None), content),
    ]
    assert await form.next_part() is None


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("filename=\"a.txt\"; filename*=UTF-8''%C3%BC%20%E2%82%AC.txt", "ü €.txt"),
        ("filename*=utf-8'de'%C3%BC.txt; filename=\"a.txt\"", "ü.txt"),
        ("filename*=iso-8859-1''%FC.txt", "ü.txt"),
        ("FileName*=\"UTF-8''%C3%BC.txt\"", "ü.txt"),
        ("filename=\"a.txt\"; filename*=unknown''%FF", "a.txt"),
        ("filename=\"a.txt\"; filename*=UTF-8''%FF", "a.txt"),
        ('filename="=?UTF-8?B?w7wudHh0?="', "ü.txt"),
        ('filename="=?utf-8?q?=C3=BC_x.txt?="', "ü x.txt"),
        ('filename="=?ISO-8859-1?Q?=FC?= =?UTF-8?B?w7w=?="', "üü"),
        ('filename="=?unknown?B?w7wudHh0?="', "=?unknown?B?w7wudHh0?="),
        ('filename="a=?UTF-8?B?w7w=?=b"', "a=?UTF-8?B?w7w=?=b"),
        ('filename="100%25.txt"', "100%25.txt"),
    ],
)
async def test_encoded_file_names_are_read(parameters: str, name: str) -> None:
    head = f'--b\r\nContent-Disposition: form-data; name="file"; {parameters}\r\n\r\n'
    [(part, content)] = await parts_of(reader(head.encode() + b"x" + END))
    assert (part.name, part.file_name, content) == ("file", name, b"x")


async def test_bytes_are_returned_before_more_are_read() -> None:
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        yield HEAD % b"a"
        while True:
            asked += 1
            yield b"x" * 1000

    form = FormReader("multipart/form-data; boundary=b", endless())
    assert await form.next_part() == Part("file", "a", None)
    chunks = form.chunks()
    for number in (1, 2, 3):
        assert await anext(chunks) == b"x" * 1000
        assert asked == number


async def test_the_rest_of_a_part_is_skipped() -> None:
    form = reader(HEAD % b"a" + b"first", b"\r\n" + HEAD % b"b", b"second" + END)
    assert await form.next_part() == Part("file", "a", None)
    assert await form.next_part() == Part("file", "b", None)
    assert await form.read(6) == b"second"
    assert form.read_bytes == 6


async def test_a_part_over_the_limit_is_too_large() -> None:
    form = reader(HEAD % b"a" + b"12345", b"67890" + END)
    await form.next_part()
    with pytest.raises(TooLarge):
        await form.read(9)


async def test_names_that_are_not_utf8_are_read() -> None:
    [(part, _)] = await parts_of(reader(HEAD % b"\xe4.csv" + END))
    assert part.file_name == "\ufffd.csv"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "ends before"),
        (HEAD % b"a" + b"bytes", "ends before"),
        (HEAD % b"a" + b"bytes\r\n--b\r\n", "ends before"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx" + END, "has no name"),
        (b"--b\r\nX: y\r\n\r\nx" + END, "not well-formed"),
        (b"--b\r\nX: " + b"y" * 10_000, "not well-formed"),
        (b"--b\r\n" + b"X: y\r\n" * 100 + b"\r\n", "not well-formed"),
        (b"--b\nX: y\n\nx", "not well-formed"),
        (b"--b\r\n\xffX: y\r\n\r\n", "not well-formed"),
    ],
)
async def test_a_broken_form_is_malformed(body: bytes, detail: str) -> None:
    with pytest.raises(MalformedForm, match=detail):
        await parts_of(reader(body))


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain; boundary=b", "multipart/form-data"]
)
def test_a_body_without_boundary_is_no_form(content_type: str | None) -> None:
    with pytest.raises(MalformedForm, match="with a boundary"):
        FormReader(content_type, nothing())


def test_a_boundary_has_a_limit() -> None:
    with pytest.raises(MalformedForm):
        reader(boundary="b" * 257)
