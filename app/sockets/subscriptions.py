"""Subscriptions of one WebSocket to the events of jobs."""

from __future__ import annotations

from typing import Any

import orjson

from app.events.broadcaster import LOOK_BACK, Broadcaster
from app.events.log import MAX_SEQ
from app.events.schemas import summary_json
from app.events.send_queue import SendQueue
from app.events.snapshot import SnapshotPacker, node_texts
from app.events.subscribers import JobSubscriber, SentRange, UserSubscriber
from app.http.problems import problem
from app.jobs.service import JobService, UnfinishedJob
from app.queue.errors import JobDeleted

Tag = str | int | None


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

        Events that a current subscription of the socket has sent are not sent again.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
        """
        state = await self._jobs.state(self._user_id, job_id)
        sent = self._sent_range(job_id)  # valid until the next `await`
        self._close_job(job_id)
        self._send("subscribed", tag, job_id=job_id, last_seq=state.last_seq)
        subscriber = JobSubscriber(
            self._broadcaster,
            self._send_queue,
            job_id,
            after=min(after, MAX_SEQ),
            state=state,
            sent=sent,
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
        found = await self._broadcaster.log.positions_of_users([self._user_id], 3 * LOOK_BACK)
        positions = {position.job_id: position.last_seq for position in found}
        self._send("subscribed", tag, jobs="all")
        packer = SnapshotPacker()
        async for page in self._jobs.unfinished(self._user_id):
            for each in page:
                positions[each.job.id] = each.job.last_seq
                for content in _add(packer, each):
                    await self._send_snapshot(content, has_more=True)
        await self._send_snapshot(packer.take(), has_more=False)
        subscriber.start(positions)

    def drop(self, *, job_id: str | None = None, all_jobs: bool = False) -> None:
        """End a subscription to one job or to all jobs, if it exists."""
        if job_id is not None:
            self._close_job(job_id)
            if self._all is not None:
                self._all.catch_up(job_id)
        if all_jobs and self._all is not None:
            self._all.close()
            self._all = None

    def close(self) -> None:
        """End all subscriptions."""
        for subscriber in list(self._by_job.values()):
            subscriber.close()
        self.drop(all_jobs=True)

    def _sent_range(self, job_id: str) -> SentRange | None:
        """Return the events of a job that the current subscriptions have sent."""
        if (subscriber := self._by_job.get(job_id)) is not None:
            return subscriber.sent_range(job_id)
        return None if self._all is None else self._all.sent_range(job_id)

    def _close_job(self, job_id: str) -> None:
        if (subscriber := self._by_job.get(job_id)) is not None:
            subscriber.close()
            self._remove(job_id)

    def _remove(self, job_id: str) -> None:
        subscriber = self._by_job.pop(job_id)
        sent = subscriber.sent_range(job_id)
        if self._all is not None and sent is not None:
            self._all.resume(job_id, sent)

    def _on_deleted(self, job_id: str) -> None:
        self._remove(job_id)
        body = problem(JobDeleted(job_id), instance="/v1/ws")
        self._send("problem", None, job_id=job_id, problem=body)

    async def _send_snapshot(self, content: str, *, has_more: bool) -> None:
        more = "true" if has_more else "false"
        await self._send_queue.drain()
        self._send_queue.put(f'{{"type":"snapshot","jobs":[{content}],"more":{more}}}')

    def _send(self, kind: str, tag: Tag, **fields: Any) -> None:
        frame = {"type": kind, **({} if tag is None else {"id": tag}), **fields}
        self._send_queue.put(orjson.dumps(frame).decode())


def _add(packer: SnapshotPacker, unfinished: UnfinishedJob) -> list[str]:
    """Add a job to a snapshot; return the contents of the frames that are full."""
    job, waiting_reason, nodes = unfinished
    text = orjson.dumps(summary_json(job, waiting_reason), option=orjson.OPT_UTC_Z)
    return packer.add(text, node_texts(nodes), b',"last_seq":%d' % job.last_seq)
