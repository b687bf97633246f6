"""Registration of the domain of temporary files."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from app.database.engine import Database
from app.domain import Domain, Domains, UserData
from app.http.auth import USER_OR_JOB, USER_OR_JOB_STREAM
from app.runtime.cleanup import CleanupPhase, CleanupStep, deletion
from app.runtime.services import Services
from app.settings import Settings
from app.storage import Storage
from app.temp import routes
from app.temp.cleanup import JobFilesCleanup, TempCleanup, TempObjects
from app.temp.models import TempRow
from app.temp.presigned_urls import TempUrls
from app.temp.quota import TempQuota
from app.temp.service import JobEnds, TempService

DAY = timedelta(days=1)


def _build(services: Services) -> list[object]:
    storage, settings = services.get(Storage), services.get(Settings)
    db = services.get(Database)
    quota = TempQuota(db, storage.temp, settings.temp_quota_bytes)
    return [
        TempService(db, storage, settings, quota, _job_ends(services)),
        TempUrls(storage, settings),
    ]


def _job_ends(services: Services) -> JobEnds:
    return partial(services.get(Domains).job_ends, services)


def _temp_cleanup(services: Services) -> TempCleanup:
    return TempCleanup(services.get(Database), services.get(Storage))


async def _delete(services: Services, user_id: str, *, limit: int) -> int:
    return await _temp_cleanup(services).delete_of_user(user_id, limit=limit)


def _cleanup(services: Services) -> list[CleanupStep]:
    settings = services.get(Settings)
    temp = _temp_cleanup(services)
    job_files = JobFilesCleanup(
        services.get(Database),
        _job_ends(services),
        ttl=timedelta(seconds=settings.job_temp_ttl_s),
        margin=max(DAY, 2 * timedelta(seconds=settings.sweep_interval_s)),
    )
    return [
        CleanupStep(CleanupPhase.FILES, job_files.clean_up),
        deletion(
            CleanupPhase.FILES,
            "expired temporary files",
            count=temp.count_expired,
            delete=temp.delete_expired,
        ),
    ]


def _stored_objects(services: Services) -> list[TempObjects]:
    return [TempObjects(services.get(Database), services.get(Storage))]


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
    build=_build,
    user_data=(
        UserData(label="temporary files of deleted users", tables=(TempRow,), delete=_delete),
    ),
    cleanup=_cleanup,
    stored_objects=_stored_objects,
)
