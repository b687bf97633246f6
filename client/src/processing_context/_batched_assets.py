"""Creation and look-up of small assets, many in one request."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from processing_context._transport.api import Api, dumps, segment
from processing_context._transport.batching import Gathering
from processing_context._transport.network import Network
from processing_context.errors import APIError
from processing_context.wire.assets import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    Asset,
    AssetCreate,
    AssetsFound,
    BatchResults,
)

BATCHED_BYTES = 64 * 1024
"""Largest file that shares a request with others: for larger ones the bytes cost more than the
request.
"""

_ID = re.compile(r"[0-9a-f]{32}")


class _New(NamedTuple):
    draft: bytes
    content_type: str
    data: bytes
    key: str


def _weight(new: _New) -> int:
    return len(new.draft) + len(new.data)


class BatchedAssets:
    """Batches of requests that are made concurrently.

    The response to a batch has a result for each item. An item that was not created or not found is
    sent again alone, with the same idempotency key; that response is final.

    Args:
        api: The API client.
        network: Reads the bytes of small files.
        headers: Sent with look-ups.
    """

    def __init__(
        self, api: Api, network: Network, headers: Mapping[str, str] | None = None
    ) -> None:
        self._api = api
        self._network = network
        self._headers = dict(headers or {})
        self._creates: Gathering[_New, Asset | None] = Gathering(
            self._create_all,
            most=MAX_BATCH,
            most_bytes=MAX_BATCH_BYTES,
            weight=_weight,
        )
        self._finds: Gathering[str, Asset | None] = Gathering(self._find_all, most=MAX_BATCH)

    async def create(self, asset: AssetCreate, data: bytes) -> Asset:
        """Create an asset."""
        self._network.check_loop()
        kind = asset.content_type or "application/octet-stream"
        new = _New(dumps(asset), kind, data, uuid.uuid4().hex)
        made = None
        if _weight(new) <= BATCHED_BYTES:
            made = await self._creates.ask(new)
        return made or await self._create_alone(new)

    async def create_folder(self, folder: AssetCreate) -> Asset:
        """Create a folder."""
        return await self._post(uuid.uuid4().hex, [("json", "application/json", dumps(folder))])

    async def find(self, asset_id: str) -> Asset:
        """Return the current state of an asset."""
        self._network.check_loop()
        path_id = segment(asset_id, "asset_id")
        found = await self._finds.ask(asset_id) if _ID.fullmatch(asset_id) else None
        return found or await self._find_alone(path_id)

    async def read(self, asset: Asset) -> bytes | None:
        """Return the bytes of a small asset that was just found; None: use the bulk path."""
        if asset.get_url is None or asset.size > BATCHED_BYTES:
            return None
        data = await self._network.bulk.read(asset.get_url, asset.size)
        if data is None or asset.sha256 not in (None, hashlib.sha256(data).hexdigest()):
            return None
        return data

    async def _create_alone(self, new: _New) -> Asset:
        parts = [("json", "application/json", new.draft), ("file", new.content_type, new.data)]
        return await self._post(new.key, parts)

    async def _post(self, key: str, parts: Sequence[tuple[str, str, bytes]]) -> Asset:
        body, content_type = _form(parts)
        answered = await self._api.request(
            "POST",
            "/v1/assets",
            content=body,
            headers={"Content-Type": content_type, "Idempotency-Key": key},
            is_hot=True,
        )
        return Asset.model_validate_json(answered.body)

    async def _create_all(self, batch: Sequence[_New]) -> Sequence[Asset | None]:
        if len(batch) == 1:
            return [await self._create_alone(batch[0])]
        items = b",".join(
            b'{"asset":%b,"size":%d,"idempotency_key":"%b"}'
            % (new.draft, len(new.data), new.key.encode())
            for new in batch
        )
        body, content_type = _form(
            [
                ("json", "application/json", b'{"assets":[%b]}' % items),
                ("file", "application/octet-stream", b"".join(new.data for new in batch)),
            ]
        )
        try:
            answered = await self._api.request(
                "POST",
                "/v1/assets/batch",
                content=body,
                headers={"Content-Type": content_type},
                is_hot=True,
            )
        except APIError as exc:
            if not _may_be_about_one_item(exc):
                raise
            return [None] * len(batch)
        answer = BatchResults.model_validate_json(answered.body)
        return [result.asset for result in answer.results]

    async def _find_alone(self, path_id: str) -> Asset:
        path = f"/v1/assets/{path_id}"
        return await self._api.get(path, Asset, headers=self._headers, is_hot=True)

    async def _find_all(self, asset_ids: Sequence[str]) -> Sequence[Asset | None]:
        if len(asset_ids) == 1:
            return [await self._find_alone(asset_ids[0])]
        body = {"asset_ids": list(dict.fromkeys(asset_ids))}
        try:
            answer = await self._api.post(
                "/v1/assets/find", AssetsFound, body=body, headers=self._headers, is_hot=True
            )
        except APIError as exc:
            if not _may_be_about_one_item(exc):
                raise
            return [None] * len(asset_ids)
        found = {asset.id: asset for asset in answer.assets}
        given: set[str] = set()

        def own(asset_id: str) -> Asset | None:
            """Return a separate object for each caller."""
            asset = found.get(asset_id)
            is_first = asset_id not in given
            given.add(asset_id)
            return asset if asset is None or is_first else asset.model_copy(deep=True)

        return [own(asset_id) for asset_id in asset_ids]


def _may_be_about_one_item(exc: APIError) -> bool:
    """Return True if a batch may have been refused because of a single item."""
    return exc.status < 500 and exc.status not in (401, 403, 429)


def _form(parts: Sequence[tuple[str, str, bytes]]) -> tuple[bytes, str]:
    """Return a multipart form of (name, content type, content) and its own content type."""
    boundary = uuid.uuid4().hex
    pieces = []
    for name, kind, content in parts:
        more = '; filename="file"' if name == "file" else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n'
        pieces += [f"{head}Content-Type: {kind}\r\n\r\n".encode(), content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces), f"multipart/form-data; boundary={boundary}"
