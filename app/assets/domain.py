"""Registration of the domain of assets."""

from __future__ import annotations

from datetime import timedelta

from app.assets import (
    batch_routes,
    import_export_routes,
    routes,
    thumbnail_routes,
    upload_routes,
)
from app.assets.archive import ArchiveService
from app.assets.batches import BatchService
from app.assets.checksums import Checksums
from app.assets.cleanup import AssetCleanup, AssetObjects
from app.assets.creation import AssetCreation
from app.assets.direct_uploads import DirectUploadService
from app.assets.media_metadata import MediaMetadata
from app.assets.models import AssetRow, BytesRow, ThumbnailRow
from app.assets.presigned_uploads import PresignedUploadService
from app.assets.presigned_urls import PresignedUrls
from app.assets.quotas import Quotas
from app.assets.service import AssetService
from app.assets.thumbnails import ThumbnailService
from app.assets.url_batches import UrlService
from app.assets.url_import import ImportService
from app.database.engine import Database
from app.domain import Domain, UserData
from app.http.auth import USER_OR_JOB, USER_OR_JOB_STREAM, Principal
from app.http.idempotency.open_keys import OpenKeys
from app.http.json_threads import JsonThreads
from app.media.decoders.pool import Decoders
from app.outbound import Downloader
from app.runtime.cleanup import CleanupPhase, CleanupStep, deletion
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.settings import Settings
from app.storage import Journal, Storage
from app.temp.presigned_urls import TempUrls
from app.temp.service import TempService
from processing_context.wire.assets import AssetBatch


def _build(services: Services) -> list[object]:
    db, storage, settings = services.get(Database), services.get(Storage), services.get(Settings)
    decoders, max_pixels = services.get(Decoders), settings.max_pixels
    bucket, journal = storage.assets, Journal(db, storage, "assets")
    limit = settings.max_metadata_bytes
    assets = AssetService(db, bucket, journal, max_metadata_bytes=limit)
    quotas, urls = Quotas(db), PresignedUrls(storage, settings)
    creation = AssetCreation(db, quotas, max_metadata_bytes=limit)
    threads = services.get(JsonThreads)
    direct = DirectUploadService(db, bucket, journal, assets, creation, quotas, threads, settings)
    return [
        assets,
        direct,
        PresignedUploadService(db, bucket, journal, assets, creation, quotas, settings),
        urls,
        UrlService(assets, urls, services.get(TempService), services.get(TempUrls)),
        BatchService(db, bucket, journal, assets, creation, quotas, services.get(OpenKeys)),
        ImportService(assets, creation, direct, services.get(Downloader)),
        ArchiveService(db, bucket),
        ThumbnailService(db, bucket, journal, decoders, assets, max_pixels=max_pixels),
        Checksums(db, bucket),
        MediaMetadata(db, bucket, decoders, max_pixels=max_pixels),
    ]


async def _find(services: Services, principal: Principal, asset_id: str) -> object:
    return await services.get(AssetService).get(principal.user_id, asset_id)


def _asset_cleanup(services: Services) -> AssetCleanup:
    upload_ttl = timedelta(seconds=services.get(Settings).abandoned_upload_s)
    return AssetCleanup(services.get(Database), services.get(Storage), upload_ttl=upload_ttl)


async def _delete(services: Services, user_id: str, *, limit: int) -> int:
    return await _asset_cleanup(services).delete_of_user(user_id, limit=limit)


def _cleanup(services: Services) -> list[CleanupStep]:
    assets = _asset_cleanup(services)
    return [
        deletion(
            CleanupPhase.FILES,
            "abandoned uploads",
            count=assets.count_abandoned,
            delete=assets.delete_abandoned,
        ),
        CleanupStep(CleanupPhase.TOTALS, assets.correct_totals),
    ]


def _stored_objects(services: Services) -> list[AssetObjects]:
    return [AssetObjects(services.get(Database))]


def _tasks(services: Services) -> list[PeriodicTask]:
    return [
        PeriodicTask(services.get(Checksums).verify_due, 1),
        PeriodicTask(services.get(MediaMetadata).extract_due, 1),
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
    cleanup=_cleanup,
    stored_objects=_stored_objects,
    tasks=_tasks,
)
