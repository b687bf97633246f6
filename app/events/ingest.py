"""Storage of the events that workers post: the batches of many jobs in one statement.

The conditions that a batch must meet to be stored (its lease is live, no event is missing or
stored already) are part of the statement, so that the usual batch costs one round trip and no
transaction of its own. A batch that does not meet them is not stored; the caller finds out why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.database.statement import Executor
from app.events.envelope import LogBatch
from app.events.event_batch import PostedBatch
from app.events.ingest_queries import STORE, StoredBatchRecord
from app.events.node_queries import COLUMN_TYPES, node_parameter
from app.events.node_states import node_columns


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A posted batch that was stored: its events, and the state of its job and lease."""

    batch: LogBatch
    record: StoredBatchRecord


async def store_batches(
    on: Executor, batches: Sequence[PostedBatch], *, ttl_s: float, complete_jobs: bool = True
) -> list[StoredBatch | None]:
    """Store batches that can be stored as they are, renew their leases and complete their jobs.

    Args:
        on: With a transaction where the caller holds locks.
        batches: Each of another job.
        ttl_s: How long the leases last from now on.
        complete_jobs: Whether to complete jobs; the caller does it otherwise.

    Returns:
        The stored batches, with None in the place of a batch that was not stored.
    """
    stored: list[StoredBatch | None] = [None] * len(batches)
    results = [batch.result if complete_jobs else None for batch in batches]
    records = await STORE.all(
        on,
        token_hashes=[batch.token_hash for batch in batches],
        job_ids=[batch.job_id for batch in batches],
        first_client_seqs=[batch.first_client_seq for batch in batches],
        counts=[len(batch.events) for batch in batches],
        completed=[result is not None for result in results],
        results=results,
        progress=[batch.progress for batch in batches],
        ends=[batch.events[-1].encoded.is_end for batch in batches],
        ttl_s=ttl_s,
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
    columns: dict[str, list[Any]] = {node_parameter(column): [] for column in COLUMN_TYPES}
    for place, batch in enumerate(batches, 1):
        own = node_columns((n, posted.event) for n, posted in enumerate(batch.events, 1))
        places += [place] * len(own["node_id"])
        for column, values in own.items():
            columns[node_parameter(column)] += values
    return {node_parameter("place"): places, **columns}
