"""Registration of workflows."""

from __future__ import annotations

from app.catalogue.service import CatalogueService
from app.database.engine import Database
from app.domain import Domain, UserData
from app.http.auth import USER, USER_OR_JOB, Principal
from app.http.json_threads import JsonThreads
from app.runtime.services import Services
from app.settings import Settings
from app.workflows import queries, routes
from app.workflows.graphs import Graphs
from app.workflows.models import WorkflowRow, WorkflowVersionRow
from app.workflows.service import WorkflowService
from processing_context.wire.graph import GraphLimits


def _build(services: Services) -> list[object]:
    settings = services.get(Settings)
    graphs = Graphs(services.get(JsonThreads), services.get(GraphLimits))
    catalogue = services.get(CatalogueService)
    return [graphs, WorkflowService(services.get(Database), graphs, catalogue, settings)]


async def _find(services: Services, principal: Principal, workflow_id: str) -> object:
    return await services.get(WorkflowService).get(principal.user_id, workflow_id)


async def _delete(services: Services, user_id: str, *, limit: int) -> int:
    return await queries.delete_of_user(services.get(Database).pool, user_id, limit=limit)


DOMAIN = Domain(
    name="workflows",
    routers=(routes.router,),
    access={
        "POST /v1/workflows": USER,
        "POST /v1/workflows/check": USER_OR_JOB,
        "GET /v1/workflows": USER_OR_JOB,
        "GET /v1/workflows/{workflow_id}": USER_OR_JOB,
        "PUT /v1/workflows/{workflow_id}": USER,
        "PATCH /v1/workflows/{workflow_id}": USER,
        "DELETE /v1/workflows/{workflow_id}": USER,
        "GET /v1/workflows/{workflow_id}/versions": USER_OR_JOB,
        "GET /v1/workflows/{workflow_id}/versions/{version}": USER_OR_JOB,
    },
    tables=(WorkflowRow, WorkflowVersionRow),
    build=_build,
    path_lookups={"workflow_id": _find},
    user_data=(
        UserData(label="workflows of deleted users", tables=(WorkflowRow,), delete=_delete),
    ),
)
