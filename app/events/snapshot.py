"""Snapshots of jobs, which replace events that retention has removed."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from app.database.statement import Executor
from app.events import job_queries, node_queries
from app.events.schemas import job_out, node_out


class Snapshot(NamedTuple):
    """The state of a job and its nodes; `text` is JSON: `{"job": …, "nodes": […]}`."""

    text: str
    last_seq: int
    has_ended: bool


async def take_snapshot(on: Executor, job_id: str) -> Snapshot | None:
    """Return a snapshot of a job; None if the job does not exist.

    It has no queue reason, since only events of ended jobs are removed.
    """
    record = await job_queries.get(on, job_id)
    if record is None:
        return None
    job = job_out(record)
    nodes = await node_queries.of_job(on, job_id)
    body = {
        "job": job.model_dump(mode="json"),
        "nodes": [node_out(node).model_dump(mode="json") for node in nodes],
    }
    return Snapshot(orjson.dumps(body).decode(), record.last_seq, job.is_ended)
