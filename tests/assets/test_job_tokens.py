"""Tests of assets and temporary files that are created with the token of a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from processing_context.wire.assets import TempAsset
from tests.support.asset_batches import item
from tests.support.asset_batches import post as post_batch
from tests.support.assets import form, make_asset, names
from tests.support.services import Service


@pytest_asyncio.fixture
async def job(service: Service) -> Any:
    """Running job: the user, the id of the job, and an HTTP client with the lease token."""
    async with await service.new_user(scopes=("user", "worker")) as user:
        node = {"id": "1", "type": "input.TextInput", "data": {"name": "a", "value": "x"}}
        body = {"graph": {"nodes": [node], "edges": []}}
        made = (await user.http.post("/v1/jobs", json=body)).json()
        worker = (await user.http.post("/v1/workers", json={"name": "w"})).json()
        claimed = await user.http.post(f"/v1/workers/{worker['id']}/claim", json={"wait_s": 5})
        lease = claimed.json()["leases"][0]
        async with service.client(lease["token"]) as http:
            yield user, made["id"], http


async def test_an_asset_of_a_job_names_it(job: Any) -> None:
    user, job_id, http = job
    made = (await http.post("/v1/assets", **form(name="made"))).json()
    assert (made["job_id"], made["user_id"]) == (job_id, user.id)
    body = {"name": "put", "content_type": "text/plain", "size": 0}
    reserved = (await http.post("/v1/assets/uploads", json=body)).json()
    assert reserved["asset"]["job_id"] == job_id
    own = await make_asset(user, name="own")
    assert own.job_id is None
    assert await names(user, job_id=job_id) == ["made"]
    assert (await http.get(f"/v1/assets/{own.id}")).status_code == 200
    forged = await user.http.post("/v1/assets", **form(job_id=job_id))
    assert forged.status_code == 422


async def test_a_batch_of_a_job_belongs_to_it(job: Any) -> None:
    user, job_id, http = job
    results = await post_batch(http, [item(b"x"), item(b"y")], b"xy")
    assert [result["asset"]["job_id"] for result in results] == [job_id] * 2
    assert len(await names(user, job_id=job_id)) == 2


async def test_a_temporary_file_of_a_job_is_kept_longer_than_others(
    service: Service, job: Any
) -> None:
    user, _, http = job
    lifetime = timedelta(seconds=service.settings.job_temp_ttl_s)
    begun = datetime.now(UTC)
    for reply in (
        await http.post("/v1/temp", content=b"x"),
        await http.post("/v1/temp/uploads", json={}),
    ):
        made = TempAsset.model_validate(reply.json())
        assert made.expires_at >= begun + lifetime - timedelta(minutes=1)
        assert (await user.http.get(f"/v1/temp/{made.id}")).status_code == 200
