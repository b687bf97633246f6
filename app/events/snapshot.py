"""Snapshots of jobs: their state and that of their nodes, in frames of limited size.

A snapshot replaces events that retention has removed, and begins a subscription to all jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from app.database.statement import Executor
from app.events import job_queries, node_queries
from app.events.job_queries import JobRecord
from app.events.node_queries import NodeRecord
from app.events.schemas import job_json, node_json
from processing_context.wire.jobs import ENDED

FRAME_BYTES = 1024 * 1024
"""Size limit of a frame; clients reject frames that are too large."""

_ENVELOPE_BYTES = 1024
_JOB_BYTES = FRAME_BYTES // 2
_OMITTED = ("graph", "params", "result")
"""Fields of a job that is larger than half a frame, in the order in which they are left out."""


class Snapshot(NamedTuple):
    """The state of a job; `parts` are JSON texts, each with the job and some of its nodes."""

    parts: list[str]
    last_seq: int
    has_ended: bool


class SnapshotPacker:
    """Packs the snapshots of jobs into frames; the nodes of one job may continue in the next."""

    def __init__(self, max_bytes: int = FRAME_BYTES - _ENVELOPE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._items: list[bytes] = []
        self._size = 0

    def add(self, job: bytes, nodes: Sequence[bytes], more_fields: bytes = b"") -> list[str]:
        """Add a job; return the contents of the frames that are full.

        Args:
            job: The JSON of the job.
            nodes: The JSON of its nodes.
            more_fields: JSON of more fields beside `job` and `nodes`, with a comma before each.
        """
        full: list[str] = []
        at = 0
        while True:
            end, size = self._fit(nodes, at, len(job) + len(more_fields) + 32)
            if self._items and (size > self._max_bytes or (end == at and at < len(nodes))):
                full.append(self.take())
                continue
            end = max(end, min(at + 1, len(nodes)))  # even if the node is larger than a frame
            item = b'{"job":%b,"nodes":[%b]%b}' % (job, b",".join(nodes[at:end]), more_fields)
            self._items.append(item)
            self._size += len(item) + 1
            if end == len(nodes):
                return full
            at = end
            full.append(self.take())

    def take(self) -> str:
        """Return the content of the current frame, and begin another."""
        items, self._items, self._size = self._items, [], 0
        return b",".join(items).decode()

    def _fit(self, nodes: Sequence[bytes], start: int, head: int) -> tuple[int, int]:
        """Return the end of the nodes that fit into the frame from `start`, and its size then."""
        end, size = start, self._size + head
        while end < len(nodes) and size + len(nodes[end]) + 1 <= self._max_bytes:
            size += len(nodes[end]) + 1
            end += 1
        return end, size


async def take_snapshot(on: Executor, job_id: str) -> Snapshot | None:
    """Return a snapshot of a job; None if the job does not exist.

    It has no queue reason, since only events of ended jobs are removed.
    """
    job = await job_queries.get(on, job_id)
    if job is None:
        return None
    nodes = await node_queries.of_jobs(on, [job_id])
    packer = SnapshotPacker()
    parts = packer.add(_job_text(job), node_texts([each.node for each in nodes]))
    return Snapshot([*parts, packer.take()], job.last_seq, job.status in ENDED)


def node_texts(nodes: Sequence[NodeRecord]) -> list[bytes]:
    """Return the JSON of nodes in a snapshot, which have no results."""
    return [orjson.dumps(node_json(node), option=orjson.OPT_UTC_Z) for node in nodes]


def _job_text(job: JobRecord) -> bytes:
    """Return the JSON of a job, without large fields if they would fill a frame."""
    fields = job_json(job)
    text = orjson.dumps(fields, option=orjson.OPT_UTC_Z)
    for name in _OMITTED:
        if len(text) <= _JOB_BYTES:
            break
        del fields[name]
        text = orjson.dumps(fields, option=orjson.OPT_UTC_Z)
    return text
