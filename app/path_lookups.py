"""What the parameters of a path name, found for a request that is wrong in another way too.

A 404 comes before a 422 (and a 403 of the object itself too), but a request that is right is not to
pay for that with a second look: only one that has failed validation is looked into here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.assets.service import AssetService
from app.http.auth import Finder, Principal
from app.workflows.service import WorkflowService


def finders(state: Any) -> Mapping[str, Finder]:
    """Return who finds what, by the name of the parameter."""

    async def asset(principal: Principal, name: str) -> object:
        return await AssetService(state.db, state.storage, owner_id=principal.user_id).get(name)

    async def job(principal: Principal, name: str) -> object:
        return await state.jobs.state(principal.user_id, name)

    async def worker(principal: Principal, name: str) -> object:
        state.workers.forget(name)
        return await state.workers.claimant(name, principal)

    async def workflow(principal: Principal, name: str) -> object:
        async with state.db.session() as session:
            return await WorkflowService(session, user_id=principal.user_id).get(name)

    return {"asset_id": asset, "job_id": job, "worker_id": worker, "workflow_id": workflow}
