"""Batches of small assets and crashes: nothing half done, nothing made twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator

import httpx
import pytest

from app.database.engine import Database
from app.settings import Settings
from app.storage import Storage
from app.storage.due_deletions import DueDeletions
from app.users.bootstrap import open_database
from tests.faults.test_assets import client
from tests.support.asset_batches import (
    batch,
    codes,
    held_before_the_rows,
    item,
    post,
    until_rows_wait,
)
from tests.support.assets import journal, keys, names, s3
from tests.support.gates import Gate
from tests.support.processes import running_service
from tests.support.services import Service, free_port
from tests.support.sweeps import assert_nothing_lost_or_stray, execute, let_time_pass, sweep

COUNT = 10
ITEMS = [item(b"x", key=f"key {number}", name=f"{number}") for number in range(COUNT)]
CONTENT = b"x" * COUNT


async def objects(settings: Settings) -> int:
    """Return how many objects are in the bucket."""
    found = s3(settings).list_objects
    return len(
        await asyncio.to_thread(lambda: list(found(settings.s3_asset_bucket, recursive=True)))
    )


async def kept(db: Database) -> tuple[int, int]:
    """Return how many rows there are, and how many objects are announced."""
    rows = await db.pool.fetchval("select count(*) from assets")
    announced = await db.pool.fetchval("select count(*) from storage_journal where op = 'put'")
    return rows, announced


async def test_a_kill_between_the_bytes_and_their_rows_leaves_nothing_after_a_sweep(
    new_settings: Callable[..., Settings],
) -> None:
    settings = new_settings(port=free_port())
    async with open_database(settings) as db:
        with running_service(settings) as process:
            async with client(settings.port) as http, held_before_the_rows(settings):
                sending = asyncio.create_task(post(http, ITEMS, CONTENT))
                await until_rows_wait(settings)
                process.send_signal(signal.SIGKILL)
                process.wait()
                with pytest.raises(httpx.TransportError):
                    await sending
        assert await objects(settings) == COUNT
        assert await kept(db) == (0, COUNT)
        await let_time_pass(settings)
        assert await DueDeletions(db, Storage(settings)).process() == COUNT
        assert await sweep(settings) == {}
        assert await objects(settings) == 0
        await execute(settings, "update idempotency_keys set expires_at = now() - interval '1 s'")
        with running_service(settings):
            async with client(settings.port) as http:
                for _ in range(2):
                    assert codes(await post(http, ITEMS, CONTENT)) == [None] * COUNT
        assert await kept(db) == (COUNT, 0)
    await assert_nothing_lost_or_stray(settings)


@pytest.fixture
def gate(stack: Settings) -> Iterator[Gate]:
    """The way to storage."""
    assert stack.s3_endpoint
    with Gate(stack.s3_endpoint) as made:
        yield made


async def test_storage_away_fails_the_whole_batch_and_frees_its_keys(
    start_service: Callable[..., Service], gate: Gate
) -> None:
    service = start_service(s3_endpoint=f"http://127.0.0.1:{gate.port}")
    async with await service.new_user() as user:
        gate.shut()
        reply = await user.http.post("/v1/assets/batch", **batch(ITEMS, CONTENT))
        assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
        assert int(reply.headers["retry-after"]) > 0
        assert [op for _, op in await journal(service)] == ["put"] * COUNT
        gate.open()
        assert codes(await post(user.http, ITEMS, CONTENT)) == [None] * COUNT
        await let_time_pass(service.settings)
        state = service
        assert await service.run(state.get(DueDeletions).process()) == COUNT
        assert len(await keys(service)) == COUNT
        assert len(await names(user)) == COUNT
    await assert_nothing_lost_or_stray(service.settings)


# As if the sweeper had come between: what it found due is not announced any more.
FALLS_DUE = """
create sequence announced;
create function fall_due() returns trigger language plpgsql as $$ begin
  if nextval('announced') = 3 then new.op := 'abort'; end if;
  return new;
end $$;
create trigger fall_due before insert on storage_journal
for each row execute function fall_due()"""


async def test_an_item_whose_time_was_over_gets_no_row_and_the_others_do(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    state = service
    await execute(service.settings, FALLS_DUE)
    async with await service.new_user() as user:
        results = await post(user.http, ITEMS, CONTENT)
        assert codes(results) == [None, None, "storage_unavailable", *[None] * (COUNT - 3)]
        assert await names(user) == [f"{n}" for n in reversed(range(COUNT)) if n != 2]
        again = await post(user.http, ITEMS, CONTENT)
        assert [result["is_replay"] for result in again] == [n != 2 for n in range(COUNT)]
        assert codes(again) == [None] * COUNT
        await let_time_pass(service.settings)
        assert await service.run(state.get(DueDeletions).process()) == 1
        assert len(await names(user)) == COUNT
    await assert_nothing_lost_or_stray(service.settings)
