"""Routes for liveness, readiness and metrics."""

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
    """A dependency of the service is unavailable; `detail` names it."""

    code = "not_ready"


class Health(BaseModel):
    """The process is running."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The dependencies of the service are available."""

    status: Literal["ok"] = "ok"
    database: Literal["ok"] = "ok"
    database_schema: Literal["ok"] = "ok"
    storage: Literal["ok"] = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """Return 200 while the process is running."""
    return Health()


@router.get("/readyz")
async def readyz(shutdown: ShutdownDep, db: DatabaseDep, storage: StorageDep) -> Readiness:
    """Return 200 if the database, its schema and the storage can be used; a 503 has the reason."""
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
    """Return the metrics of this replica in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database_problem(db: Database) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            found = await migrate.current(db)
    except Exception as exc:
        logger.warning("readiness: database: %s", exc)
        return "the database cannot be reached"
    if found == migrate.head():
        return None
    if migrate.is_known(found):
        return (
            f"the database schema {found} is older than {migrate.head()}, which the code needs: "
            "run `python -m app migrate`"
        )
    return (
        f"the database schema {found} is newer than {migrate.head()}, the newest that the code "
        "knows: update this replica"
    )


async def _storage_problem(storage: Storage) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await storage.check()
    except Exception as exc:
        logger.warning("readiness: storage: %s", exc)
        return "the storage cannot be reached"
    return None
