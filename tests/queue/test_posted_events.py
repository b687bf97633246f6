"""Tests of posted events: every batch is stored once, and completely or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.jobs import LOG, events_of, get, held_job, owner, refusal, seqs
from tests.support.services import Service


async def test_events_sent_twice_are_stored_once(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        assert (await held.post(LOG, LOG))["last_seq"] == 4
        again = await held.send(LOG, LOG, LOG, first=1)
        assert (again.status_code, again.json()["last_seq"]) == (200, 5)
        assert seqs(await events_of(user, held.id)) == [1, 2, 3, 4, 5]


async def test_the_same_batch_twice_at_once_is_stored_once(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        replies = await asyncio.gather(*(held.send(LOG, LOG, first=1) for _ in range(8)))
        assert [reply.status_code for reply in replies] == [200] * 8
        assert seqs(await events_of(user, held.id)) == [1, 2, 3, 4]


async def test_the_end_sent_twice_is_answered_200_and_anything_new_409(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        await held.complete()
        end = {"type": "job_update", "status": "completed", "result": {}}
        again = await held.send(end, first=1)
        assert (again.status_code, again.json()["lease_expires_at"]) == (200, None)
        assert refusal(await held.send(LOG, first=2)) == (409, "job_ended")
        assert refusal(await held.heartbeat()) == (409, "job_ended")
        assert refusal(await held.release()) == (409, "job_ended")
        assert len(await events_of(user, held.id)) == 3


async def test_a_client_seq_left_out_is_refused_and_nothing_stored(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        await held.post(LOG)
        assert refusal(await held.send(LOG, first=3)) == (409, "client_seq_gap")
        assert len(await events_of(user, held.id)) == 3


@pytest.mark.parametrize(
    "event",
    [
        {"type": "nothing"},
        {"type": "log", "level": "loud", "message": "m"},
        {"type": "log", "level": "info"},
        {"type": "log", "level": "info", "message": "m", "unknown": 1},
        {"type": "job_update", "status": "queued"},
        {"type": "job_update", "status": "running", "progress": "0.5"},
        {"type": "log", "level": "info", "message": "m", "job_id": "0" * 32},
        {"type": "log", "level": "info", "message": "m", "client_seq": 0},
        {"type": "log", "level": "info", "message": "m", "client_seq": None},
        {"type": "log", "level": "info", "message": "m", "client_seq": 2**40},
        {"type": "node_progress", "node_id": "a\x00", "progress": 1, "total": 2},
    ],
)
async def test_what_is_no_event_is_refused_with_the_whole_batch(
    service: Service, event: dict[str, Any]
) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        assert refusal(await held.send(LOG, event)) == (422, "validation_error")
        assert len(await events_of(user, held.id)) == 2


async def test_client_seqs_of_a_batch_follow_each_other_and_the_end_is_last(
    service: Service,
) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        skipping = [{"client_seq": 1, **LOG}, {"client_seq": 3, **LOG}]
        ending = [
            {"client_seq": 1, "type": "job_update", "status": "completed"},
            {"client_seq": 2, **LOG},
        ]
        for events in (skipping, ending):
            reply = await user.http.post(
                f"/v1/jobs/{held.id}/events", json={"events": events}, headers=held.headers
            )
            assert refusal(reply) == (422, "validation_error")
        assert (await get(user, held.id))["status"] == "running"


async def test_an_event_over_64_kib_is_refused_and_nothing_stored(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        large = {**LOG, "message": "☃" * 22_000}
        assert refusal(await held.send(LOG, large)) == (413, "event_too_large")
        held.client_seq = 0
        await held.post({**LOG, "message": "x" * 65_000})
        assert len(await events_of(user, held.id)) == 3


async def test_what_a_worker_says_of_seq_and_time_does_not_count(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        forged = {**LOG, "seq": 99, "attempt": 7, "time": "1999-01-01T00:00:00Z"}
        await held.post({**forged, "job_id": held.id})
        event = (await events_of(user, held.id))[-1]
        assert (event["seq"], event["attempt"]) == (3, 1)
        assert event["time"] > "2020"
