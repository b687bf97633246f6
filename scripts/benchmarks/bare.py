"""The limit of a metadata route: FastAPI, a response model, one asyncpg primary-key query."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, HTTPException

from app.database.engine import connect_args
from processing_context.wire.assets import Asset

SQL = "select * from assets where id = $1"
FIELDS = tuple(Asset.model_fields)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold a pool while the app runs."""
    async with asyncpg.create_pool(**connect_args(os.environ["CONTEXT_DATABASE_URL"])) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that it is up."""
    return {"status": "ok"}


@app.get("/assets/{asset_id}", response_model=Asset)
async def read(asset_id: str) -> dict[str, Any]:
    """Return one row."""
    row = await app.state.pool.fetchrow(SQL, asset_id)
    if row is None:
        raise HTTPException(404)
    found = dict(row)
    return {
        **{field: found.get(field) for field in FIELDS},
        "metadata": {},
        "get_url": None,
        "thumb_url": None,
    }


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
