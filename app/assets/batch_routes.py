"""Routes that create or look up many assets in one request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from app.assets.batches import BatchService, Item, items_of
from app.assets.direct_uploads import FORM_OVERHEAD_BYTES
from app.assets.errors import InvalidAsset
from app.assets.responses import marked, with_urls
from app.assets.service import AssetService
from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.file_response import body_of
from app.http.form_parser import FormReader
from app.http.idempotency.keys import check_key
from app.http.json_threads import JsonThreads
from app.http.problems import problem
from app.http.request_body import parse_part
from app.http.responses import json_response
from app.http.routing import SecuredRoute
from app.settings import Settings
from processing_context.wire.assets import (
    MAX_BATCH_BYTES,
    AssetBatch,
    AssetsFind,
    AssetsFound,
    BatchResults,
)

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["assets"])

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["json", "file"],
                    "properties": {
                        "json": {"$ref": "#/components/schemas/AssetBatch"},
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}


@router.post("/assets/batch", response_model=BatchResults, openapi_extra=_FORM)
async def create_assets(
    request: Request,
    batches: Annotated[BatchService, Injected(BatchService)],
    principal: PrincipalDep,
    settings: Annotated[Settings, Injected(Settings)],
    threads: Annotated[JsonThreads, Injected(JsonThreads)],
) -> Response:
    """Create many small assets from a form with a part `json`, then one part `file`.

    Each item of `json` corresponds to one `POST /v1/assets`, including its Idempotency-Key, and has
    its own result. The part `file` is the concatenated bytes of all items. With the header
    `Idempotency-Key` the items need no keys of their own.
    """
    limit = MAX_BATCH_BYTES + settings.max_json_bytes + FORM_OVERHEAD_BYTES
    form = FormReader(request.headers.get("content-type"), body_of(request, limit))
    items = await _items(form, settings.max_json_bytes, threads)
    _derive_keys(items, request.headers.get("idempotency-key"))
    await batches.create(principal, items, route=request.url.path.removesuffix("/batch"))
    results = [_result(item, request) for item in items]
    return marked(
        json_response({"results": results}), is_replay=all(item.is_replay for item in items)
    )


@router.post("/assets/find", response_model=AssetsFound)
async def find_assets(
    request: Request,
    assets: Annotated[AssetService, Injected(AssetService)],
    principal: PrincipalDep,
    body: AssetsFind,
) -> Response:
    """Return many assets with new presigned URLs; ids that were not found are left out."""
    found = await assets.get_many(principal.user_id, body.asset_ids)
    return json_response({"assets": with_urls(request, found)})


async def _items(form: FormReader, max_json_bytes: int, threads: JsonThreads) -> list[Item]:
    parts = []
    for name, limit in (("json", max_json_bytes), ("file", MAX_BATCH_BYTES)):
        part = await form.next_part()
        if part is None or part.name != name:
            raise InvalidAsset("The form must have a part `json`, then a part `file`.")
        parts.append(await form.read(limit))
    if await form.next_part() is not None:
        raise InvalidAsset("The form must have one part `file`, as the last part.")
    batch = await parse_part(threads, parts[0], AssetBatch)
    return items_of(batch.assets, parts[1])


def _derive_keys(items: list[Item], key: str | None) -> None:
    """Derive the idempotency keys of the items from the key of the batch, if it has one."""
    if key is None:
        return
    check_key(key)
    if any(item.wanted.idempotency_key is not None for item in items):
        raise InvalidAsset("Send an Idempotency-Key for the batch or for its items, not for both.")
    for number, item in enumerate(items):
        item.wanted.idempotency_key = f"{key} {number}"


def _result(item: Item, request: Request) -> dict[str, Any]:
    asset = None if item.asset is None else with_urls(request, [item.asset])[0]
    details = None if item.problem is None else problem(item.problem, instance=request.url.path)
    return {"asset": asset, "problem": details, "is_replay": item.is_replay}
