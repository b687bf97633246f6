"""Tests of the lines that a node prints: ends of lines, carriage returns, long lines, threads."""

from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing_context.nodes.runner.node_log import MAX_LINE_BYTES, NodeLog

Lines = list[tuple[str, str]]


def written(*texts: str) -> Lines:
    """Return the lines of a log to which texts are written, as levels and messages."""
    lines: Lines = []
    log = NodeLog("n", lambda _, level, line: lines.append((level, line)))
    for text in texts:
        log.write("info", text)
    log.close()
    return lines


def info(*lines: str) -> Lines:
    return [("info", line) for line in lines]


@pytest.mark.parametrize(
    ("texts", "lines"),
    [
        (("one\n",), ["one"]),
        (("one", "\n", "two"), ["one", "two"]),
        (("a\nb\n\nc\n",), ["a", "b", "", "c"]),
        (("windows\r\n", "lines\r", "\n"), ["windows", "lines"]),
        (("\r 10%", "\r 50%", "\r100%", "\n", "done\n"), ["100%", "done"]),
        (("10%\r", "50%\r", "100%\r"), ["100%"]),
        (("\r 90%", "\r100%", "\r     \r"), ["100%"]),
        (("\r100%", "\r     \r", "after\n"), ["after"]),
        (("",), []),
    ],
)
def test_lines_are_those_that_a_terminal_would_show(
    texts: tuple[str, ...], lines: list[str]
) -> None:
    assert written(*texts) == info(*lines)


@given(st.text(alphabet="ab\n", max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_lines_do_not_depend_on_how_the_text_is_written(text: str, cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(text)]
    parts = [text[a:b] for a, b in itertools.pairwise(ends)]
    *complete, rest = text.split("\n")
    assert written(*parts) == info(*complete, *([rest] if rest else []))


@pytest.mark.parametrize("letter", ["x", "é", "🎈"])
@pytest.mark.parametrize("pieces", [1, 7])
def test_a_long_line_is_cut_and_says_how_long_it_is(letter: str, pieces: int) -> None:
    count = 70_000 // len(letter.encode())
    size = count * pieces * len(letter.encode())
    [(_, line), (_, after)] = written(*[letter * count] * pieces, "\nafter\n")
    assert line.startswith(letter * 1000)
    assert line.endswith(f"… (cut: the line has {size} bytes)")
    assert len(line.encode()) <= MAX_LINE_BYTES
    assert after == "after"


def test_a_line_of_8_kib_is_whole() -> None:
    line = "é" * (MAX_LINE_BYTES // 2)
    assert written(f"{line}\n") == info(line)


def test_a_long_progress_bar_that_gets_short_is_not_cut() -> None:
    assert written("x" * 100_000, "\rshort\n") == info("short")


def test_streams_and_threads_have_lines_of_their_own() -> None:
    lines: Lines = []
    log = NodeLog("n", lambda _, level, line: lines.append((level, line)))
    log.write("info", "half of ")
    log.write("warning", "an error\n")
    thread = threading.Thread(target=log.write, args=("info", "another thread\n"))
    thread.start()
    thread.join()
    log.write("info", "a line\n")
    log.write("info", "no end")
    log.close()
    assert lines == [
        ("warning", "an error"),
        ("info", "another thread"),
        ("info", "half of a line"),
        ("info", "no end"),
    ]
