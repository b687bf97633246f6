"""Ingest: stores the event batches of many jobs with one statement.

The statement itself checks that the lease of a batch is live and that no event is missing or
already stored, so that the usual batch costs one round trip. A batch that fails these checks is
not stored; the caller must determine the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.database.statement import Executor
from app.events.envelope import LogBatch
from app.events.event_batch import PostedBatch
from app.events.ingest_queries import STORE, StoredBatchRecord
from app.events.node_queries import NODE_PARAMETERS, PLACE_PARAMETER
from app.events.node_states import node_states

NO_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch that was stored: its events, and the state of its job and lease."""

    batch: LogBatch
    record: StoredBatchRecord


async def store_batches(
    on: Executor,
    batches: Sequence[PostedBatch],
    *,
    ttl_s: float,
    max_events: int = NO_LIMIT,
    complete_jobs: bool = True,
) -> list[StoredBatch | None]:
    """Store batches, renew their leases and complete their jobs.

    Args:
        on: The connection of the transaction if the caller holds locks, otherwise the pool.
        batches: Batches of different jobs.
        ttl_s: The duration of the renewed leases.
        max_events: A batch is not stored if its job would have more events.
        complete_jobs: Whether to complete jobs; otherwise the caller does.

    Returns:
        A list in the order of `batches`, with None for a batch that was not stored.
    """
    stored: list[StoredBatch | None] = [None] * len(batches)
    results = [batch.result if complete_jobs else None for batch in batches]
    records = await STORE.all(
        on,
        token_hashes=[batch.token_hash for batch in batches],
        job_ids=[batch.job_id for batch in batches],
        first_client_seqs=[batch.first_client_seq for batch in batches],
        counts=[len(batch.events) for batch in batches],
        client_counts=[batch.client_count for batch in batches],
        completed=[result is not None for result in results],
        results=results,
        progress=[batch.progress for batch in batches],
        ends=[batch.events[-1].encoded.is_end for batch in batches],
        ttl_s=ttl_s,
        max_events=max_events,
        **_event_columns(batches),
        **_node_columns(batches),
    )
    for record in records:
        place = record.place - 1
        stored[place] = StoredBatch(_log_batch(record, batches[place]), record)
    return stored


def _log_batch(record: StoredBatchRecord, posted: PostedBatch) -> LogBatch:
    return LogBatch(
        record.job_id,
        record.user_id,
        [event.encoded for event in posted.events],
        after=record.last_seq,
        attempt=record.attempt,
        time=record.now,
        traceparent=record.traceparent,
    )


def _event_columns(batches: Sequence[PostedBatch]) -> dict[str, list[Any]]:
    flat = [
        (place, number, posted.encoded)
        for place, batch in enumerate(batches, 1)
        for number, posted in enumerate(batch.events, 1)
    ]
    return {
        "event_places": [place for place, _, _ in flat],
        "event_numbers": [number for _, number, _ in flat],
        "event_types": [encoded.type for _, _, encoded in flat],
        "event_tails": [encoded.tail for _, _, encoded in flat],
    }


def _node_columns(batches: Sequence[PostedBatch]) -> dict[str, list[Any]]:
    places: list[int] = []
    columns: dict[str, list[Any]] = {parameter: [] for parameter in NODE_PARAMETERS.values()}
    for place, batch in enumerate(batches, 1):
        states = node_states((n, posted.event) for n, posted in enumerate(batch.events, 1))
        places += [place] * len(states)
        for column, parameter in NODE_PARAMETERS.items():
            columns[parameter] += [state.get(column) for state in states]
    return {PLACE_PARAMETER: places, **columns}
