"""Comparison of the lease model with a real service: operations are applied to both.

The outcome of concurrent operations is correct if the model, in some order of them, returns the
same responses and has the same logs.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

import asyncpg
import httpx

from app.queue.reaper import Reaper
from app.queue.waiting_claims import WaitingClaims
from processing_context.wire.jobs import ENDED
from tests.support.jobs import graph
from tests.support.lease_model import GONE, Answer, Job, Model, Said
from tests.support.lease_operations import (
    Cancel,
    Claim,
    Delete,
    EndBackOff,
    Expire,
    Heartbeat,
    Late,
    OfLease,
    Op,
    Post,
    Reap,
    RemoveWorker,
)
from tests.support.services import Service, User, eventually

TIMEOUT_S = 3600.0
WAIT_S = 60.0
NOTHING: Answer = (200,)
"""Response to a claim that finds no job."""

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
State: TypeAlias = "dict[str, tuple[str, int, bool, list[Said]]]"
"""State of each job: status, attempt, whether its cancellation is requested, and its log."""


@dataclass
class Told:
    """A response of the service; with the tokens of the jobs if it is that of a claim."""

    answer: Answer
    tokens: dict[str, str] = field(default_factory=dict)


Order: TypeAlias = Sequence[tuple[Op, Told]]


class World:
    """One user of a service whose reaper is run by the test only.

    If several orders explain the responses, the models of all of them are kept, until later
    responses exclude some.
    """

    def __init__(self, service: Service, user: User, pool: Pool, *, speaker: str) -> None:
        self._models = [Model()]
        self._user = user
        self._speaker = speaker
        self._service = service
        self._http = user.http
        self._pool = pool

    @property
    def model(self) -> Model:
        """One of the models that explain all responses so far."""
        return self._models[0]

    @classmethod
    async def of(cls, service: Service, pool: Pool) -> Self:
        """Return a world with a new user."""
        user = await service.new_user(scopes=("user", "worker"))
        return cls(service, user, pool, speaker=await _registered(user))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def start(self, *, has_timeout: bool = False, **fields: Any) -> None:
        """Start a job."""
        if has_timeout:
            fields["timeout_s"] = TIMEOUT_S
        reply = await self._http.post("/v1/jobs", json={"graph": graph(), **fields})
        self._made(reply.status_code, reply.json(), has_timeout=has_timeout)

    async def start_for(self, worker_id: str, **fields: Any) -> None:
        """Create a job while a claim waits for one; do nothing if the claim would not wait."""
        claim = Claim(worker_id, max_jobs=1)
        if any(claim.apply(copy.deepcopy(model)) != NOTHING for model in self._models):
            return
        claiming = asyncio.create_task(self._claim(claim, wait_s=WAIT_S))
        await eventually(self._has_waiter)
        await self.start(**fields)
        self._explain([[(claim, await claiming)]])

    async def _has_waiter(self) -> bool:
        return any(claim.has_polled for claim in self._service.get(WaitingClaims))

    async def retry(self, job_id: str) -> None:
        """Run a job again."""
        reply = await self._http.post(f"/v1/jobs/{job_id}/retry")
        job = self.model.jobs.get(job_id)
        if job is None:
            assert reply.status_code == 404
        elif job.status in ("failed", "cancelled"):
            self._made(reply.status_code, reply.json(), has_timeout=job.has_timeout)
        else:
            assert (reply.status_code, reply.json()["code"]) == (409, "job_not_retryable")

    async def register(self) -> None:
        """Register a worker."""
        worker_id = await _registered(self._user)
        for model in self._models:
            model.workers.append(worker_id)

    def _made(self, status: int, made: dict[str, Any], *, has_timeout: bool) -> None:
        assert status == 202, made
        for model in self._models:
            job = Job(made["id"], made["max_attempts"], made["priority"], has_timeout)
            model.jobs[job.id] = job

    async def do(self, op: Op) -> None:
        """Apply an operation; the service has to respond like the model."""
        self._explain([[(op, await self._send(op))]])

    async def race(self, job_id: str, ops: Sequence[Op]) -> None:
        """Apply operations concurrently, most of them to one job."""
        told = await asyncio.gather(*map(self._send, ops))
        orders = _orders(job_id, list(zip(ops, told, strict=True)))
        self._explain(list(orders), await self._state())

    def _explain(self, orders: Sequence[Order], state: State | None = None) -> None:
        """Keep the models of all orders that explain the responses and the state."""
        found: list[Model] = []
        for model, order in itertools.product(self._models, orders):
            after = _after(model, order)
            if after is None or (state is not None and _state_of(after) != state):
                continue
            if after not in found:
                found.append(after)
        if not found:
            said = "\n".join(f"{op}: {one.answer}" for op, one in orders[0])
            before = _state_of(self.model)
            raise AssertionError(f"no order explains\n{said}\nfrom {before}\nto {state}")
        self._models = found

    async def finish(self) -> None:
        """End all jobs, and check that no job is lost and all logs are complete."""
        for job_id in self.model.jobs:
            await self.do(Expire(job_id))
        await self.do(Reap())
        await self.register()
        while unfinished := [job for job in self.model.jobs.values() if not job.has_ended]:
            for job in unfinished:
                await self.do(EndBackOff(job.id))
            await self.do(Claim(self.model.workers[-1], len(unfinished)))
            assert len(self.model.granted) == len(unfinished)
            for lease in self.model.granted:
                await self.do(Post(lease.token, first=1, count=2, end="completed"))
        await self.compare()

    async def compare(self) -> None:
        """Compare all jobs with the model, and check the rules of their logs."""
        state = await self._state()
        assert state == _state_of(self.model)
        for job_id, (status, attempt, _, log) in state.items():
            ends = [place for place, said in enumerate(log, 1) if said.status in ENDED]
            assert ends == ([len(log)] if status in ENDED else [])
            assert attempt <= self.model.jobs[job_id].max_attempts
        live = await self._pool.fetch(
            "select job_id from job_leases where ended_at is null and job_id = any($1)",
            list(self.model.jobs),
        )
        running = sorted(job_id for job_id, job in state.items() if job[0] == "running")
        assert sorted(row["job_id"] for row in live) == running

    async def _send(self, op: Op) -> Told:
        if isinstance(op, Late):
            await self._pool.execute(op.statement, op.job_id)
        elif isinstance(op, Reap):
            await self._service.run(self._service.get(Reaper).run())
        elif isinstance(op, Claim):
            return await self._claim(op)
        elif isinstance(op, OfLease):
            return await self._speak(op)
        elif isinstance(op, Cancel):
            reply = await self._http.post(f"/v1/jobs/{op.job_id}/cancel")
            assert reply.status_code in (200, 404), reply.text
        elif isinstance(op, Delete | RemoveWorker):
            kind, name = (
                ("jobs", op.job_id) if isinstance(op, Delete) else ("workers", op.worker_id)
            )
            reply = await self._http.delete(f"/v1/{kind}/{name}")
            return Told(_short(reply))
        return Told(())

    async def _claim(self, op: Claim, wait_s: float = 0) -> Told:
        body = {"max_jobs": op.max_jobs, "wait_s": wait_s}
        reply = await self._http.post(f"/v1/workers/{op.worker_id}/claim", json=body)
        if not reply.is_success:
            return Told(_short(reply))
        leases = reply.json()["leases"]
        got = sorted((lease["job"]["id"], lease["attempt"]) for lease in leases)
        return Told((200, *got), {lease["job"]["id"]: lease["token"] for lease in leases})

    async def _speak(self, op: OfLease) -> Told:
        job_id = self.model.lease(op.token).job_id
        if isinstance(op, Post):
            return await self._post(op, job_id)
        action = "heartbeat" if isinstance(op, Heartbeat) else "release"
        reply = await self._http.post(f"/v1/jobs/{job_id}/{action}", headers=_lease(op))
        if reply.is_success and isinstance(op, Heartbeat):
            return Told((200, reply.json()["cancel_requested"]))
        return Told(_short(reply))

    async def _post(self, op: Post, job_id: str) -> Told:
        body: dict[str, Any] = {"events": list(map(op.event, range(op.first, op.last + 1)))}
        if not op.is_shared:
            path = f"/v1/jobs/{job_id}/events"
            reply = await self._http.post(path, json=body, headers=_lease(op))
            if not reply.is_success:
                return Told(_short(reply))
            stored = reply.json()
        else:
            path = f"/v1/workers/{self._speaker}/events"
            body = {"jobs": [{"job_id": job_id, "token": op.token, **body}]}
            reply = await self._http.post(path, json=body)
            assert reply.is_success, reply.text
            [stored] = reply.json()["jobs"]
            if problem := stored.get("problem"):
                return Told(GONE if problem["status"] == 404 else (409, problem["code"]))
        return Told((200, stored["last_seq"], stored["cancel_requested"]))

    async def _state(self) -> State:
        reply = await self._http.get("/v1/jobs", params={"page_size": 1000})
        jobs = {job["id"]: job for job in reply.json()["jobs"]}
        logs = await asyncio.gather(*map(self._log, jobs))
        return {
            job_id: (job["status"], job["attempt"], job["cancel_requested"], log)
            for (job_id, job), log in zip(jobs.items(), logs, strict=True)
        }

    async def _log(self, job_id: str) -> list[Said]:
        reply = await self._http.get(f"/v1/jobs/{job_id}/events")
        events = reply.json()["events"]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        return [_said(event) for event in events]


async def _registered(user: User) -> str:
    reply = await user.http.post("/v1/workers", json={"name": "w", "slots": 4})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def _lease(op: OfLease) -> dict[str, str]:
    return {"Authorization": f"Bearer {op.token}"}


def _short(reply: httpx.Response) -> Answer:
    if reply.status_code in (401, 404):
        return GONE
    if reply.status_code == 409:
        return (409, reply.json()["code"])
    assert reply.is_success, reply.text
    return (reply.status_code,)


def _said(event: dict[str, Any]) -> Said:
    if event["type"] == "log":
        return Said(event["attempt"], None, event["message"])
    return Said(event["attempt"], event["status"], (event.get("error") or {}).get("code"))


def _state_of(model: Model) -> State:
    return {
        job.id: (job.status, job.attempt, job.is_cancel_requested, job.log)
        for job in model.jobs.values()
    }


def _orders(job_id: str, sent: Order) -> Iterator[Order]:
    """Yield the possible orders, each with and without claims that found the job locked."""
    choices = [
        [(op, told), (replace(op, passes_over=job_id), told)]
        if isinstance(op, Claim | Reap)
        else [(op, told)]
        for op, told in sent
    ]
    for chosen in itertools.product(*choices):
        yield from itertools.permutations(chosen)


def _after(model: Model, order: Order) -> Model | None:
    """Return the model after an order; None if its responses differ from the service's."""
    after = copy.deepcopy(model)
    for op, told in order:
        if op.apply(after) != told.answer:
            return None
        if isinstance(op, Claim):
            for lease in after.granted:
                lease.token = told.tokens[lease.job_id]
    return after
