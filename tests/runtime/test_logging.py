"""Tests of the JSON log format."""

from __future__ import annotations

import json
import logging

import pytest

from app.runtime.logging import JsonLines


@pytest.mark.parametrize("name", ["plain", 'quote " and\nline', "käse", "lone \ud800 surrogate"])
def test_a_record_is_one_json_object_on_one_line(name: str) -> None:
    record = logging.makeLogRecord(
        {"name": "app", "msg": "read %s", "args": (name,), "levelname": "INFO", "extra": {1, 2}}
    )
    line = JsonLines(["levelname", "message"], timestamp="time").format(record)
    assert "\n" not in line
    parsed = json.loads(line)
    assert (parsed["message"], parsed["levelname"]) == (f"read {name}", "INFO")
    assert parsed["time"].endswith("+00:00")
