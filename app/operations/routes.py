"""Health, readiness and metrics."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from app.database import migrate
from app.database.engine import Database
from app.http.dependencies import DatabaseDep, Injected
from app.http.problems import Unavailable
from app.http.routing import SecuredRoute
from app.runtime.shutdown import Shutdown
from app.storage import Storage

logger = logging.getLogger(__name__)

router = APIRouter(route_class=SecuredRoute, tags=["operations"])

CHECK_TIMEOUT_S = 5

ShutdownDep = Annotated[Shutdown, Injected(Shutdown)]
StorageDep = Annotated[Storage, Injected(Storage)]


class NotReady(Unavailable):
    """Something that the service stands on is not there; `detail` names it."""

    code = "not_ready"


class Health(BaseModel):
    """The process is up."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Each thing that the service stands on."""

    status: Literal["ok"] = "ok"
    database: Literal["ok"] = "ok"
    database_schema: Literal["ok"] = "ok"
    storage: Literal["ok"] = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """Say that the process is up."""
    return Health()


@router.get("/readyz")
async def readyz(shutdown: ShutdownDep, db: DatabaseDep, storage: StorageDep) -> Readiness:
    """Say whether database and storage answer and the schema fits; a 503 names what is wrong."""
    problems = [
        *(["the replica is shutting down"] if shutdown.has_begun else []),
        *filter(
            None,
            await asyncio.gather(_database_problem(db), _storage_problem(storage)),
        ),
    ]
    if problems:
        raise NotReady("; ".join(problems))
    return Readiness()


@router.get("/metrics", response_class=Response)
async def read_metrics() -> Response:
    """Return the counts of this replica in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database_problem(db: Database) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            found = await migrate.current(db)
    except Exception as exc:
        logger.warning("readiness: database: %s", exc)
        return "the database does not answer"
    if found == migrate.head():
        return None
    if migrate.is_known(found):
        return f"the schema is older than this code: {found}, needs {migrate.head()}"
    return f"the schema is newer than this code: {found}, knows {migrate.head()}"


async def _storage_problem(storage: Storage) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await storage.check()
    except Exception as exc:
        logger.warning("readiness: storage: %s", exc)
        return "the storage does not answer"
    return None
