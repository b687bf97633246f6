"""Unit tests of rules for jobs, without a database."""

from __future__ import annotations

import pytest

from app.events.event_batch import read_batch
from app.http.problems import ProblemError
from app.jobs.queue_reason import waiting_reason
from app.jobs.responses import preferred_wait_s
from app.queue.reaper import BACK_OFF
from app.workers.service import WorkerCapabilities

LOG = {"type": "log", "level": "info", "message": "m"}


def worker(*capabilities: str, node_types: tuple[str, ...] | None = None) -> WorkerCapabilities:
    types = None if node_types is None else frozenset(node_types)
    return WorkerCapabilities(frozenset(capabilities), types)


def test_the_back_off_doubles_up_to_a_minute() -> None:
    assert [BACK_OFF.delay_s(attempt) for attempt in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("respond-async", 0),
        ("wait=5", 5),
        ("wait = 5", 5),
        ("respond-async, wait=10", 10),
        ("WAIT=0.5", 0.5),
        ("wait=600", 60),
        ("wait", 60),
        ("wait=-1", 0),
        ("wait=x", 0),
        ("await=5", 0),
    ],
)
def test_prefer_wait_is_read_as_in_rfc_7240(header: str | None, seconds: float) -> None:
    assert preferred_wait_s(header) == seconds


@pytest.mark.parametrize(
    ("workers", "reason"),
    [
        ([], "No worker is connected that takes this user's jobs."),
        ([worker("cuda")], None),
        ([worker()], "No worker has the capability cuda."),
        ([worker("cuda", node_types=("a.A",))], "No worker runs the node type b.B."),
        (
            [worker(node_types=())],
            "No worker runs the node types a.A, b.B; no worker has the capability cuda.",
        ),
        (
            [worker(), worker("cuda", node_types=("a.A", "c.C")), worker(node_types=("b.B",))],
            "No single worker has all that it needs: cuda, a.A, b.B.",
        ),
        ([worker(), worker("cuda", "x", node_types=("a.A", "b.B"))], None),
    ],
)
def test_the_waiting_reason_names_what_is_missing(
    workers: list[WorkerCapabilities], reason: str | None
) -> None:
    assert waiting_reason(["cuda"], ["a.A", "b.B"], workers) == reason


def test_the_size_of_an_event_is_that_of_its_utf8() -> None:
    size = len('{"level":"info","message":"☃"}'.encode()) - 1
    events = [{"client_seq": 1, **LOG, "message": "☃"}]
    assert len(read_batch(events, job_id="j", max_event_bytes=size)) == 1
    with pytest.raises(ProblemError) as refused:
        read_batch(events, job_id="j", max_event_bytes=size - 1)
    assert refused.value.code == "event_too_large"


@pytest.mark.parametrize(
    ("status", "code"), [("failed", "node_failed"), ("cancelled", "cancelled")]
)
def test_an_end_without_an_error_gets_one(status: str, code: str) -> None:
    events = [{"client_seq": 1, "type": "job_update", "status": status}]
    [item] = read_batch(events, job_id="j", max_event_bytes=1000)
    assert item.event["error"]["code"] == code
    assert code in item.encoded.tail
    [item] = read_batch([{**events[0], "message": "why"}], job_id="j", max_event_bytes=1000)
    assert item.event["error"] == {"code": code, "message": "why"}


def test_a_wrong_event_is_named_by_its_place() -> None:
    events = [{"client_seq": 1, **LOG}, {"client_seq": 2, **LOG, "level": "loud"}]
    with pytest.raises(ProblemError) as refused:
        read_batch(events, job_id="j", max_event_bytes=1000)
    assert refused.value.errors is not None
    assert refused.value.errors[0]["loc"][:3] == ["body", "events", 1]
