"""Routes of many assets in one request: creation of small ones, and look-up."""

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
) -> Response:
    """Make many small assets: a form with a part `json`, then one part `file`.

    Each item of `json` is what one `POST /v1/assets` is, its Idempotency-Key included, and has its
    own result; the part `file` holds the bytes of all, one after the other. With the header
    `Idempotency-Key` the items need no keys of their own.
    """
    limit = MAX_BATCH_BYTES + settings.max_json_bytes + FORM_OVERHEAD_BYTES
    form = FormReader(request.headers.get("content-type"), body_of(request, limit))
    items = await _items(form, settings.max_json_bytes)
    _give_keys(items, request.headers.get("idempotency-key"))
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
    """Return many assets at once, with fresh URLs; what is not there is left out."""
    found = await assets.get_many(principal.user_id, body.asset_ids)
    return json_response({"assets": with_urls(request, found)})


async def _items(form: FormReader, max_json_bytes: int) -> list[Item]:
    parts = []
    for name, limit in (("json", max_json_bytes), ("file", MAX_BATCH_BYTES)):
        part = await form.next_part()
        if part is None or part.name != name:
            raise InvalidAsset("The form has a part `json`, then a part `file`.")
        parts.append(await form.read(limit))
    if await form.next_part() is not None:
        raise InvalidAsset("The part `file` comes once, and last.")
    return items_of(parse_part(parts[0], AssetBatch).assets, parts[1])


def _give_keys(items: list[Item], key: str | None) -> None:
    """Derive the keys of the items from that of the whole batch, if it has one."""
    if key is None:
        return
    check_key(key)
    if any(item.wanted.idempotency_key is not None for item in items):
        raise InvalidAsset("Give the batch an Idempotency-Key, or its items: not both.")
    for number, item in enumerate(items):
        item.wanted.idempotency_key = f"{key} {number}"


def _result(item: Item, request: Request) -> dict[str, Any]:
    asset = None if item.asset is None else with_urls(request, [item.asset])[0]
    why = None if item.problem is None else problem(item.problem, instance=request.url.path)
    return {"asset": asset, "problem": why, "is_replay": item.is_replay}
