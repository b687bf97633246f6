"""Registration of temporary files."""

from __future__ import annotations

from app.database.engine import Database
from app.domain import Domain, UserData
from app.http.auth import USER_OR_JOB, USER_OR_JOB_STREAM
from app.runtime.services import Services
from app.storage import Storage
from app.temp import cleanup, routes
from app.temp.models import TempRow


async def _delete(services: Services, user_id: str, *, limit: int) -> int:
    return await cleanup.delete_all_of(
        services.get(Database), services.get(Storage), user_id, limit=limit
    )


DOMAIN = Domain(
    name="temp",
    routers=(routes.router,),
    access={
        "POST /v1/temp": USER_OR_JOB_STREAM,
        "POST /v1/temp/uploads": USER_OR_JOB,
        "GET /v1/temp/{temp_id}": USER_OR_JOB,
        "DELETE /v1/temp/{temp_id}": USER_OR_JOB,
        "GET /v1/temp/{temp_id}/content": USER_OR_JOB,
        "GET /v1/storage/temp/{key}": USER_OR_JOB,
    },
    tables=(TempRow,),
    user_data=(
        UserData(label="temporary files of deleted users", tables=(TempRow,), delete=_delete),
    ),
)
