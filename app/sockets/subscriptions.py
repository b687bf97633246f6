"""Subscriptions of one WebSocket to the events of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from app.database.engine import Database
from app.events import queries as event_queries
from app.events.broadcaster import LOOK_BACK, Hub
from app.events.log import MAX_SEQ
from app.events.node_states import node_out
from app.events.send_queue import Outbox
from app.events.subscribers import JobReader, UserReader
from app.http.problems import problem
from app.jobs.errors import JobNotFound
from app.jobs.schemas import LARGE
from app.jobs.service import Jobs
from processing_context.wire.jobs import Job, NodeState

Tag = str | int | None

SNAPSHOT_BYTES = 256 * 1024
"""The size at which a snapshot goes on in another frame: clients refuse frames too large."""


class Subscriptions:
    """The subscriptions of one WebSocket, which share its outbox."""

    def __init__(self, db: Database, hub: Hub, jobs: Jobs, outbox: Outbox, user_id: str) -> None:
        self._db = db
        self._hub = hub
        self._jobs = jobs
        self._outbox = outbox
        self._user_id = user_id
        self._by_job: dict[str, JobReader] = {}
        self._all: UserReader | None = None

    async def follow(self, job_id: str, *, after: int, tag: Tag = None) -> None:
        """Send a job's events after `after`, then new ones; a second subscription starts anew.

        Raises:
            JobNotFound: It does not exist or is another user's.
        """
        last_seq, has_ended = await self._jobs.state(self._user_id, job_id)
        self.drop(job_id=job_id)
        self._send("subscribed", tag, job_id=job_id, last_seq=last_seq)
        after = min(after, MAX_SEQ)
        reader = JobReader(
            self._hub,
            self._outbox,
            job_id,
            after=after,
            last_seq=last_seq,
            has_ended=has_ended,
            on_caught_up=lambda seq: self._send("caught_up", None, job_id=job_id, seq=seq),
            on_end=lambda: self._forget(job_id),
            on_gone=lambda: self._gone(job_id),
        )
        self._by_job[job_id] = reader
        reader.start()

    async def follow_all(self, *, tag: Tag = None) -> None:
        """Send the user's unfinished jobs and their nodes, then every event of every job."""
        self.drop(all_jobs=True)
        reader = UserReader(
            self._hub, self._outbox, self._user_id, is_elsewhere=self._by_job.__contains__
        )
        self._all = reader
        reader.attach()
        ended = await self._hub.heads.of_users([self._user_id], 3 * LOOK_BACK)
        unfinished = await self._jobs.unfinished(self._user_id)
        nodes = await event_queries.nodes_of(self._db.pool, [job.id for job, _ in unfinished])
        by_job: dict[str, list[NodeState]] = {}
        for row in nodes:
            by_job.setdefault(row["job_id"], []).append(node_out(row))
        self._send("subscribed", tag, jobs="all")
        for frame in _snapshots(unfinished, by_job):
            await self._outbox.room()
            self._outbox.put(frame)
        reader.start(
            {
                **{head.job_id: head.last_seq for head in ended},
                **{job.id: last_seq for job, last_seq in unfinished},
            }
        )

    def drop(self, *, job_id: str | None = None, all_jobs: bool = False) -> None:
        """End subscriptions; one that does not exist is ignored."""
        if job_id is not None and (reader := self._by_job.get(job_id)) is not None:
            reader.close()
            self._forget(job_id)
        if all_jobs and self._all is not None:
            self._all.close()
            self._all = None

    def close(self) -> None:
        """End all subscriptions."""
        for reader in list(self._by_job.values()):
            reader.close()
        self.drop(all_jobs=True)

    def _forget(self, job_id: str) -> None:
        reader = self._by_job.pop(job_id)
        if self._all is not None:
            self._all.resume(job_id, reader.seen)

    def _gone(self, job_id: str) -> None:
        self._forget(job_id)
        body = problem(JobNotFound("The job was deleted."), instance="/v1/ws")
        self._send("problem", None, job_id=job_id, problem=body)

    def _send(self, kind: str, tag: Tag, **fields: Any) -> None:
        frame = {"type": kind, **({} if tag is None else {"id": tag}), **fields}
        self._outbox.put(orjson.dumps(frame).decode())


def _snapshots(jobs: list[tuple[Job, int]], nodes: dict[str, list[NodeState]]) -> Iterator[str]:
    """Yield the frames of a snapshot: one or more."""
    items: list[str] = []
    size = 0
    for job, last_seq in jobs:
        item = {
            "job": job.model_dump(mode="json", exclude=LARGE),
            "nodes": [node.model_dump(mode="json") for node in nodes.get(job.id, [])],
            "last_seq": last_seq,
        }
        items.append(orjson.dumps(item).decode())
        size += len(items[-1])
        if size >= SNAPSHOT_BYTES:
            yield _snapshot(items)
            items, size = [], 0
    if items or not jobs:
        yield _snapshot(items)


def _snapshot(items: list[str]) -> str:
    return f'{{"type":"snapshot","jobs":[{",".join(items)}]}}'
