"""Tests of the look-up and claims of due deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from app.database.engine import Database
from app.runtime.ids import new_id
from app.settings import Settings
from app.users.bootstrap import open_database
from app.webhooks import queries

_JOB = """
insert into jobs (id, user_id, job_type, status, params, graph, priority, required_capabilities,
    node_types, max_attempts, created_at, available_at)
values ($1, 'u', 'workflow', 'cancelled', '{}', '{}', 0, '{}', '{}', 1, now(), now())"""
LONG = timedelta(hours=1)
OUTCOME: dict[str, Any] = {
    "back_off": None,
    "attempted_at": datetime.now(UTC),
    "status_code": None,
    "body": None,
    "error": "no",
}


class Outbox:
    """Deliveries of a job in a database that no service works on."""

    def __init__(self, db: Database, job_id: str) -> None:
        self.db = db
        self._job_id = job_id

    async def add(self, user_id: str, receiver: str, *, due_in_s: float = -1) -> str:
        """Store a delivery; returns its id."""
        delivery_id = new_id()
        await queries.insert(
            self.db.pool,
            delivery_id,
            user_id=user_id,
            job_id=self._job_id,
            type_="job.completed",
            url=receiver,
            receiver=receiver,
            secret=None,
            body="{}",
            now=datetime.now(UTC) + timedelta(seconds=due_in_s),
        )
        return delivery_id

    async def status(self, delivery_id: str) -> tuple[str, int]:
        """Return the status of a delivery and its attempts."""
        row = await self.db.pool.fetchrow(
            "select status, attempts from webhook_deliveries where id = $1", delivery_id
        )
        assert row is not None
        return row["status"], row["attempts"]


@pytest_asyncio.fixture
async def outbox(new_settings: Callable[..., Settings]) -> AsyncIterator[Outbox]:
    async with open_database(new_settings()) as db:
        job_id = new_id()
        await db.pool.execute(_JOB, job_id)
        yield Outbox(db, job_id)


async def test_each_receivers_first_come_before_anybodys_second(outbox: Outbox) -> None:
    many = [await outbox.add("a", "http://busy", due_in_s=n - 100) for n in range(10)]
    few = [await outbox.add("b", "http://calm")]
    same = [await outbox.add("b", "http://busy", due_in_s=-50)]
    later = await outbox.add("c", "http://later", due_in_s=10_000)
    rows = await queries.due(outbox.db.pool, after=("", ""), receivers=100, each=3)
    ids = [row.id for row in rows if row.id is not None]
    assert ids == [many[0], *same, *few, many[1], many[2]]
    assert later not in ids


async def test_receivers_are_looked_at_in_turns(outbox: Outbox) -> None:
    ids = {
        (user, f"http://{n}"): await outbox.add(user, f"http://{n}")
        for user in ("a", "b")
        for n in range(5)
    }
    found: list[str] = []
    places: list[int] = []
    after = ("", "")
    while rows := await queries.due(outbox.db.pool, after=after, receivers=3, each=1):
        found += [row.id for row in rows if row.id]
        places.append(len(rows))
        last = max(rows, key=lambda row: row.place)
        after = (last.user_id, last.receiver)
    assert found == list(ids.values())
    assert places == [3, 3, 3, 1]


async def test_two_who_claim_at_once_never_get_the_same(outbox: Outbox) -> None:
    ids = [await outbox.add("a", "http://x") for _ in range(50)]
    claims = await asyncio.gather(
        *(queries.claim(outbox.db.pool, ids[n : n + 20], lease=LONG) for n in range(0, 40, 5))
    )
    claimed = [row.id for claim in claims for row in claim]
    assert len(set(claimed)) == len(claimed)
    # A row that another claim has locked is passed over, and there for the next one.
    rest = await queries.claim(outbox.db.pool, ids, lease=LONG)
    assert sorted([*claimed, *(row.id for row in rest)]) == sorted(ids)
    assert await queries.claim(outbox.db.pool, ids, lease=LONG) == []


async def test_a_claim_that_is_over_writes_nothing(outbox: Outbox) -> None:
    delivery_id = await outbox.add("a", "http://x")
    [first] = await queries.claim(outbox.db.pool, [delivery_id], lease=timedelta(0))
    [second] = await queries.claim(outbox.db.pool, [delivery_id], lease=LONG)
    assert (first.attempts, second.attempts) == (1, 2)
    await queries.settle(outbox.db.pool, delivery_id, attempt=1, status="failed", **OUTCOME)
    assert await outbox.status(delivery_id) == ("pending", 2)
    await queries.settle(outbox.db.pool, delivery_id, attempt=2, status="failed", **OUTCOME)
    assert await outbox.status(delivery_id) == ("failed", 2)
    assert await queries.due(outbox.db.pool, after=("", ""), receivers=10, each=10) == []
