"""Registration of assets."""

from __future__ import annotations

from functools import partial

from app.assets import (
    batch_routes,
    cleanup,
    import_export_routes,
    routes,
    thumbnail_routes,
    upload_routes,
)
from app.assets.checksums import check_due
from app.assets.media_metadata import Facts
from app.assets.models import AssetRow, BytesRow, ThumbnailRow
from app.assets.service import AssetService
from app.database.engine import Database
from app.domain import Domain, UserData
from app.http.auth import USER_OR_JOB, USER_OR_JOB_STREAM, Principal
from app.media.decoders.pool import Decoders
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.settings import Settings
from app.storage import Storage
from processing_context.wire.assets import AssetBatch


def _build(services: Services) -> list[object]:
    return [
        Facts(
            services.get(Database),
            services.get(Storage),
            services.get(Decoders),
            max_pixels=services.get(Settings).max_pixels,
        )
    ]


async def _find(services: Services, principal: Principal, asset_id: str) -> object:
    db, storage = services.get(Database), services.get(Storage)
    return await AssetService(db, storage, owner_id=principal.user_id).get(asset_id)


async def _delete(services: Services, user_id: str, *, limit: int) -> int:
    return await cleanup.delete_all_of(
        services.get(Database), services.get(Storage), user_id, limit=limit
    )


def _tasks(services: Services) -> list[PeriodicTask]:
    return [
        PeriodicTask(partial(check_due, services.get(Database), services.get(Storage)), 1),
        PeriodicTask(services.get(Facts).work_off, 1),
    ]


DOMAIN = Domain(
    name="assets",
    routers=(
        routes.router,
        batch_routes.router,
        upload_routes.router,
        thumbnail_routes.router,
        import_export_routes.router,
    ),
    schemas=(AssetBatch,),
    access={
        "POST /v1/assets": USER_OR_JOB_STREAM,
        "POST /v1/assets/batch": USER_OR_JOB_STREAM,
        "POST /v1/assets/find": USER_OR_JOB,
        "POST /v1/assets/import": USER_OR_JOB,
        "POST /v1/assets/archive": USER_OR_JOB,
        "POST /v1/assets/uploads": USER_OR_JOB,
        "GET /v1/assets/{asset_id}/upload": USER_OR_JOB,
        "DELETE /v1/assets/{asset_id}/upload": USER_OR_JOB,
        "POST /v1/assets/{asset_id}/complete": USER_OR_JOB,
        "GET /v1/assets": USER_OR_JOB,
        "GET /v1/assets/{asset_id}": USER_OR_JOB,
        "PATCH /v1/assets/{asset_id}": USER_OR_JOB,
        "DELETE /v1/assets/{asset_id}": USER_OR_JOB,
        "GET /v1/assets/{asset_id}/content": USER_OR_JOB,
        "HEAD /v1/assets/{asset_id}/content": USER_OR_JOB,
        "PUT /v1/assets/{asset_id}/content": USER_OR_JOB_STREAM,
        "GET /v1/assets/{asset_id}/thumbnail": USER_OR_JOB,
        "GET /v1/assets/{asset_id}/url": USER_OR_JOB,
        "POST /v1/urls": USER_OR_JOB,
        "GET /v1/storage/assets/{key}": USER_OR_JOB,
    },
    tables=(AssetRow, BytesRow, ThumbnailRow),
    build=_build,
    path_lookups={"asset_id": _find},
    user_data=(UserData(label="assets of deleted users", tables=(AssetRow,), delete=_delete),),
    tasks=_tasks,
)
