"""Subscriptions of one WebSocket to the events of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from app.events.broadcaster import LOOK_BACK, Broadcaster
from app.events.log import MAX_SEQ
from app.events.schemas import node_json, summary_json
from app.events.send_queue import SendQueue
from app.events.subscribers import JobSubscriber, UserSubscriber
from app.http.problems import problem
from app.jobs.service import JobService, UnfinishedJob
from app.queue.errors import JobDeleted

Tag = str | int | None

SNAPSHOT_BYTES = 256 * 1024
"""Size from which a snapshot is split into frames; clients reject frames that are too large."""


class Subscriptions:
    """The subscriptions of one WebSocket, which share its send queue."""

    def __init__(
        self, broadcaster: Broadcaster, jobs: JobService, send_queue: SendQueue, user_id: str
    ) -> None:
        self._broadcaster = broadcaster
        self._jobs = jobs
        self._send_queue = send_queue
        self._user_id = user_id
        self._by_job: dict[str, JobSubscriber] = {}
        self._all: UserSubscriber | None = None

    async def follow(self, job_id: str, *, after: int, tag: Tag = None) -> None:
        """Send the events of a job after `after`, then new ones; replace an existing subscription.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
        """
        state = await self._jobs.state(self._user_id, job_id)
        self.drop(job_id=job_id)
        self._send("subscribed", tag, job_id=job_id, last_seq=state.last_seq)
        after = min(after, MAX_SEQ)
        subscriber = JobSubscriber(
            self._broadcaster,
            self._send_queue,
            job_id,
            after=after,
            state=state,
            on_caught_up=lambda seq: self._send("caught_up", None, job_id=job_id, seq=seq),
            on_end=lambda: self._remove(job_id),
            on_deleted=lambda: self._on_deleted(job_id),
        )
        self._by_job[job_id] = subscriber
        subscriber.start()

    async def follow_all(self, *, tag: Tag = None) -> None:
        """Send a snapshot of the user's unfinished jobs, then the new events of all jobs."""
        self.drop(all_jobs=True)
        subscriber = UserSubscriber(
            self._broadcaster,
            self._send_queue,
            self._user_id,
            is_elsewhere=self._by_job.__contains__,
        )
        self._all = subscriber
        subscriber.subscribe()
        ended = await self._broadcaster.log.positions_of_users([self._user_id], 3 * LOOK_BACK)
        unfinished = await self._jobs.unfinished(self._user_id)
        self._send("subscribed", tag, jobs="all")
        for frame in _snapshots(unfinished):
            await self._send_queue.drain()
            self._send_queue.put(frame)
        subscriber.start(
            {
                **{position.job_id: position.last_seq for position in ended},
                **{each.job.id: each.job.last_seq for each in unfinished},
            }
        )

    def drop(self, *, job_id: str | None = None, all_jobs: bool = False) -> None:
        """End a subscription to one job or to all jobs, if it exists."""
        if job_id is not None and (subscriber := self._by_job.get(job_id)) is not None:
            subscriber.close()
            self._remove(job_id)
        if all_jobs and self._all is not None:
            self._all.close()
            self._all = None

    def close(self) -> None:
        """End all subscriptions."""
        for subscriber in list(self._by_job.values()):
            subscriber.close()
        self.drop(all_jobs=True)

    def _remove(self, job_id: str) -> None:
        subscriber = self._by_job.pop(job_id)
        if self._all is not None:
            self._all.resume(job_id, subscriber.last_sent)

    def _on_deleted(self, job_id: str) -> None:
        self._remove(job_id)
        body = problem(JobDeleted(job_id), instance="/v1/ws")
        self._send("problem", None, job_id=job_id, problem=body)

    def _send(self, kind: str, tag: Tag, **fields: Any) -> None:
        frame = {"type": kind, **({} if tag is None else {"id": tag}), **fields}
        self._send_queue.put(orjson.dumps(frame).decode())


def _snapshots(jobs: list[UnfinishedJob]) -> Iterator[str]:
    """Yield the frames of a snapshot, at least one."""
    items: list[str] = []
    size = 0
    for job, waiting_reason, nodes in jobs:
        item = {
            "job": summary_json(job, waiting_reason),
            "nodes": [node_json(node) for node in nodes],
            "last_seq": job.last_seq,
        }
        items.append(orjson.dumps(item, option=orjson.OPT_UTC_Z).decode())
        size += len(items[-1])
        if size >= SNAPSHOT_BYTES:
            yield _snapshot(items)
            items, size = [], 0
    if items or not jobs:
        yield _snapshot(items)


def _snapshot(items: list[str]) -> str:
    return f'{{"type":"snapshot","jobs":[{",".join(items)}]}}'
