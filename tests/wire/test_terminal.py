"""Tests that text of other machines cannot control a terminal."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import TextIO

import pytest

from app.__main__ import _refuse
from processing_context.cli.display import Display, PlainDisplay, RichDisplay
from processing_context.cli.main import main
from processing_context.wire.events import ErrorEvent, JobUpdate, Log, NodeUpdate
from processing_context.wire.terminal import (
    TerminalFormatter,
    printable,
    printable_json,
    printable_lines,
)

HOSTILE = [
    "\x1b]0;title\x07",  # sets the title of the window
    "\x1b[2J\x1b[H",  # clears the screen
    "\x9b2J",  # the same, with a C1 control
    "over\rwritten",
    "back\x08space",
    "\u202etxt.exe",  # reverses the direction
    "\u2066isolate",
    "\x7fdelete",
    "\u2028separator",
    "\ud800surrogate",
]


def is_harmless(text: str) -> bool:
    return all(char.isprintable() or char in "\n\t\u200c\u200d" for char in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_controls_are_shown_as_escapes(text: str) -> None:
    for found in (printable(text), printable_lines(f"a\tb\r\n{text}\n")):
        assert is_harmless(found)
    assert "\n" not in printable(f"{text}\n")
    document = printable_json(json.dumps({"name": text}, ensure_ascii=False, indent=1))
    assert is_harmless(document)
    assert json.loads(document) == {"name": text}


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "Z\u00fcrich \u2013 \u6771\u4eac",
        "\u0645\u06cc\u200c\u062e\u0648",
        "\U0001f469\u200d\U0001f680",
        "non\u00a0breaking",
    ],
)
def test_the_text_of_people_is_kept(text: str) -> None:
    assert printable(text) == printable_lines(text) == printable_json(text) == text


@pytest.mark.parametrize("kind", [PlainDisplay, RichDisplay])
@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_no_display_of_a_job_passes_them_on(kind: type[Display], text: str) -> None:
    stream: TextIO = io.StringIO()
    with kind(stream) as display:  # type: ignore[call-arg]
        for message in (
            NodeUpdate(node_id=text, node_name=text, status="running"),
            NodeUpdate(node_id=text, node_name=text, status="failed", error=text, logs=text),
            Log(level="info", message=text),
            ErrorEvent(error=text),
            JobUpdate(status="failed", message=text),
        ):
            display.show(message)
    shown = stream.getvalue()  # type: ignore[attr-defined]
    assert text not in shown
    assert shown.strip()


def test_a_log_record_for_people_is_harmless_and_keeps_its_lines() -> None:
    record = logging.LogRecord("n", logging.INFO, __file__, 1, "GET /%s\nb", ("\x1b[2J",), None)
    shown = TerminalFormatter().format(record)
    assert is_harmless(shown)
    assert shown.endswith("INFO    n: GET /\\x1b[2J\nb")


def test_errors_of_the_command_line_are_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = tmp_path / "\x1b[2Jw.json"
    assert main(["run", str(name)]) == 2
    assert is_harmless(capsys.readouterr().err)


def test_errors_of_the_services_command_line_are_harmless(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _refuse("User \x1b[2J was not found.", code=1) == 1
    assert capsys.readouterr().err == "processing-context: User \\x1b[2J was not found.\n"
