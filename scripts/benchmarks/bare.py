"""Baseline of metadata routes: FastAPI with a response model and one asyncpg query."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, HTTPException

from app.database.engine import connect_args
from processing_context.wire.assets import Asset
from processing_context.wire.users import User
from processing_context.wire.workflows import Workflow, WorkflowCreate

ASSET_FIELDS = tuple(Asset.model_fields)
WORKFLOW = """
select *, '{}'::json as input_schema, '{}'::json as output_schema from workflows where id = $1"""
INSERT_WORKFLOW = """
insert into workflows
    (id, user_id, name, description, tags, access, graph, settings, thumbnail_url, version)
select $1, id, $2, $3, $4, $5, $6, $7, $8, 1 from users limit 1
returning *, '{}'::json as input_schema, '{}'::json as output_schema"""


async def _json_as_objects(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await connection.set_type_codec(
        "json",
        encoder=lambda value: orjson.dumps(value).decode(),
        decoder=orjson.loads,
        schema="pg_catalog",
    )


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the connection pool while the app runs."""
    options = connect_args(os.environ["CONTEXT_DATABASE_URL"])
    async with asyncpg.create_pool(**options, init=_json_as_objects) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def _row(statement: str, *args: object) -> asyncpg.Record:
    row: asyncpg.Record | None = await app.state.pool.fetchrow(statement, *args)
    if row is None:
        raise HTTPException(404)
    return row


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Return that the app is running."""
    return {"status": "ok"}


@app.get("/assets/{asset_id}", response_model=Asset)
async def read_asset(asset_id: str) -> dict[str, Any]:
    """Return one asset."""
    found = dict(await _row("select * from assets where id = $1", asset_id))
    return {
        **{field: found.get(field) for field in ASSET_FIELDS},
        "metadata": {},
        "get_url": None,
        "thumb_url": None,
    }


@app.get("/users/{user_id}", response_model=User)
async def read_user(user_id: str) -> dict[str, Any]:
    """Return one user."""
    return dict(await _row("select * from users where id = $1", user_id))


@app.get("/workflows/{workflow_id}", response_model=Workflow)
async def read_workflow(workflow_id: str) -> dict[str, Any]:
    """Return one workflow."""
    return dict(await _row(WORKFLOW, workflow_id))


@app.post("/workflows", response_model=Workflow, status_code=201)
async def create_workflow(body: WorkflowCreate) -> dict[str, Any]:
    """Insert one workflow."""
    values = body.model_dump(mode="json").values()
    return dict(await _row(INSERT_WORKFLOW, uuid.uuid4().hex, *values))


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
