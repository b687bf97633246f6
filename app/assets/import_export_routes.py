"""Routes that bring files in from a URL, and out as one zip."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from app.assets.archive import Archive
from app.assets.routes import Caller, made
from app.assets.url_import import ImportService
from app.database.engine import Database
from app.http import content_headers
from app.http.auth import PrincipalDep
from app.http.dependencies import services_of
from app.http.idempotency.dependencies import IdempotencyKeyDep
from app.http.routing import SecuredRoute
from app.outbound import Downloader
from app.storage import Storage
from processing_context.wire.assets import ArchiveCreate, Asset, AssetImport

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["assets"])

_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The zip.", "content": {"application/zip": {}}}
}


@router.post("/assets/import", status_code=201, response_model=Asset)
async def import_asset(
    request: Request,
    caller: Caller,
    principal: PrincipalDep,
    once: IdempotencyKeyDep,
    body: AssetImport,
) -> Response:
    """Make an asset of what a public http(s) URL leads to."""
    services = services_of(request)
    imports = ImportService(
        services.get(Database), services.get(Downloader), caller.uploads, principal
    )
    row, is_replay = await imports.create(body, once)
    return made(caller.answer(row, status_code=201), is_replay=is_replay)


@router.post("/assets/archive", response_class=Response, responses=_ZIP)
async def archive_assets(
    request: Request, principal: PrincipalDep, body: ArchiveCreate
) -> Response:
    """Return assets as a zip, folders with everything in them."""
    services = services_of(request)
    db, storage = services.get(Database), services.get(Storage)
    archive = await Archive.of(db, storage, body.asset_ids, owner_id=principal.user_id)
    headers = {"Content-Disposition": content_headers.disposition("attachment", "assets.zip")}
    return StreamingResponse(archive.chunks(), media_type="application/zip", headers=headers)
