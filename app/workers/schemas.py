"""Conversion of workers to their wire format."""

from __future__ import annotations

from typing import Any, Literal

from app.workers.queries import WorkerRecord


def worker_fields(row: WorkerRecord) -> dict[str, Any]:
    """Return the fields of a `Worker`, as values for orjson."""
    return {
        "id": row.id,
        "name": row.name,
        "state": _state(row),
        "capabilities": row.capabilities,
        "node_types": row.node_types,
        "slots": row.slots,
        "metadata": row.metadata,
        "running_jobs": row.running_jobs,
        "last_heartbeat_at": row.last_seen_at,
        "created_at": row.created_at,
    }


def _state(row: WorkerRecord) -> Literal["active", "draining", "lost"]:
    if row.is_lost:
        return "lost"
    return "draining" if row.is_draining else "active"
