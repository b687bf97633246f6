"""Conversion of workers to their wire format."""

from __future__ import annotations

from typing import Literal

from app.workers.queries import WorkerRecord
from processing_context.wire.workers import Worker


def worker_out(row: WorkerRecord) -> Worker:
    """Return the wire model of a worker."""
    return Worker(
        id=row.id,
        name=row.name,
        state=_state(row),
        capabilities=row.capabilities,
        node_types=row.node_types,
        slots=row.slots,
        metadata=row.metadata,
        running_jobs=row.running_jobs,
        last_heartbeat_at=row.last_seen_at,
        created_at=row.created_at,
    )


def _state(row: WorkerRecord) -> Literal["active", "draining", "lost"]:
    if row.is_lost:
        return "lost"
    return "draining" if row.is_draining else "active"
