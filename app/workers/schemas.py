"""Workers as they travel."""

from __future__ import annotations

from typing import Literal

import asyncpg

from processing_context.wire.workers import Worker


def worker_out(row: asyncpg.Record) -> Worker:
    """Return the wire form of a worker."""
    state: Literal["active", "draining", "lost"] = "active"
    if row["is_lost"]:
        state = "lost"
    elif row["is_draining"]:
        state = "draining"
    return Worker(
        id=row["id"],
        name=row["name"],
        state=state,
        capabilities=row["capabilities"],
        node_types=row["node_types"],
        slots=row["slots"],
        metadata=row["metadata"],
        running_jobs=row["running_jobs"],
        last_heartbeat_at=row["last_seen_at"],
        created_at=row["created_at"],
    )
