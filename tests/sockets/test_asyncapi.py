"""Tests of the AsyncAPI document: it agrees with the wire models."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from processing_context.wire.events import Event
from processing_context.wire.sockets import OP
from tests.support.frames import document, wrong_with

GRAPH = {"nodes": [{"id": "a", "type": "t"}], "edges": []}


@pytest.mark.parametrize(
    ("op", "is_good"),
    [
        ({"op": "subscribe", "job_id": "a"}, True),
        ({"op": "subscribe", "job_id": "a", "after": 3, "id": 1}, True),
        ({"op": "subscribe", "jobs": "all", "id": "x"}, True),
        ({"op": "subscribe", "thread_id": "a", "after": 0}, True),
        ({"op": "unsubscribe", "job_id": "a"}, True),
        ({"op": "run", "request": {"graph": GRAPH}, "idempotency_key": "k"}, True),
        ({"op": "cancel", "job_id": "a"}, True),
        ({"op": "ping"}, True),
        ({"op": "subscribe"}, False),
        ({"op": "subscribe", "job_id": "a", "jobs": "all"}, False),
        ({"op": "subscribe", "jobs": "some"}, False),
        ({"op": "subscribe", "job_id": "a", "after": -1}, False),
        ({"op": "unsubscribe"}, False),
        ({"op": "run"}, False),
        ({"op": "run", "request": {"graph": GRAPH, "priority": 101}}, False),
        ({"op": "cancel"}, False),
        ({"op": "ping", "unknown": 1}, False),
        ({"op": "unknown"}, False),
    ],
)
def test_an_op_is_good_to_the_document_where_it_is_to_the_service(
    op: dict[str, Any], is_good: bool
) -> None:
    try:
        OP.validate_python(op)
        is_taken = True
    except ValidationError:
        is_taken = False
    assert is_taken == is_good
    assert (wrong_with(op) == []) == is_good


def test_every_event_is_described_and_has_its_place() -> None:
    models = get_args(get_args(Event)[0])
    schemas = document()["components"]["schemas"]
    assert len(models) == 8
    for model in models:
        required = set(schemas[model.__name__]["required"])
        assert required >= {"type", "job_id", "seq", "attempt", "time"}


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "caught_up", "job_id": "a"},
        {"type": "caught_up", "job_id": "a", "seq": 1, "unknown": 1},
        {"type": "log", "level": "info", "message": "m"},
        {"type": "gap", "job_id": "a", "from": 1, "to": 2},
        {"type": "unknown"},
    ],
)
def test_what_the_service_never_sends_is_wrong(frame: dict[str, Any]) -> None:
    assert wrong_with(frame)
