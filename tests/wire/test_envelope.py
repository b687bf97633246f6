"""Tests of the envelope of job events."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from processing_context.wire.envelope import SERVICE_FIELDS, Envelope, text
from processing_context.wire.events import ProcessingMessage

WHOLE = {
    "traceparent": "00-1-2-01",
    "time": "2026-01-02T03:04:05.000006Z",
    "attempt": "2",
    "seq": "7",
    "job_id": "0123",
    "type": "log",
}


def test_the_text_has_the_fields_in_their_order() -> None:
    assert text(WHOLE) == (
        '{"type":"log","job_id":"0123","seq":7,"attempt":2,"time":"2026-01-02T03:04:05.000006Z"'
        ',"traceparent":"00-1-2-01"'
    )
    assert text({"seq": "7"}) == ',"seq":7'


def test_the_text_is_that_of_the_model() -> None:
    fields = json.loads(text(WHOLE) + "}")
    fields.pop("type")
    assert json.loads(Envelope.model_validate(fields).model_dump_json()) == fields


def test_a_field_that_is_not_in_the_envelope_is_an_error() -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        text({"message": "m"})


def test_the_service_sets_the_envelope_and_the_numbers() -> None:
    assert {
        "client_seq", "job_id", "seq", "attempt", "time", "traceparent", "from_seq",
    } == SERVICE_FIELDS  # fmt: skip


def test_every_event_begins_with_the_envelope() -> None:
    for event in get_args(ProcessingMessage):
        assert list(event.model_fields)[:5] == list(Envelope.model_fields)
