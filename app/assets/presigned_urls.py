"""Where the bytes of an asset are, and who is told."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from app.assets.errors import AssetCorrupt, NoContent, UploadIncomplete
from app.assets.part_plan import Cut
from app.assets.queries import Row
from app.http import content_headers
from app.http.file_response import Content
from app.storage import Network, Storage
from processing_context.wire.assets import FOLDER


def key_of(row: Row) -> str:
    """Return the key of an asset's object."""
    return f"{row['id']}/{row['version']}"


def uploads_of(rows: Iterable[Row]) -> dict[str, str]:
    """Return the ids of the multipart uploads that are not complete, by key."""
    return {key_of(row): row["upload_id"] for row in rows if row["upload_id"] is not None}


def check_readable(row: Row) -> None:
    """Hold that an asset has bytes.

    Raises:
        NoContent: It is a folder.
        UploadIncomplete: They have not come yet.
        AssetCorrupt: They are not what was declared.
    """
    if row["content_type"] == FOLDER:
        raise NoContent
    if row["status"] == "pending":
        raise UploadIncomplete
    if row["status"] == "corrupt":
        raise AssetCorrupt


class Links:
    """Presigned URLs of assets, for the network that the caller is in."""

    def __init__(self, storage: Storage, network: Network) -> None:
        self._storage = storage
        self._network = network

    def to_get(self, row: Row, expires_s: int, *, download: bool = False) -> str | None:
        """Return a URL for the bytes; None where there are none to be read."""
        if row["status"] != "ready" or row["content_type"] == FOLDER:
            return None
        content_type = row["content_type"]
        disposition = None
        if download or not content_headers.is_safe_inline(content_type):
            disposition = content_headers.disposition("attachment", row["name"])
        return self._storage.presign_get(
            self._storage.assets,
            key_of(row),
            network=self._network,
            expires_s=expires_s,
            content_type=content_headers.header_of(content_type),
            disposition=disposition,
        )

    def to_thumbnail(self, row: Row, expires_s: int) -> str | None:
        """Return a URL for the usual thumbnail; None until it is made."""
        if row["thumb_key"] is None or row["status"] != "ready":
            return None
        return self._storage.presign_get(
            self._storage.assets,
            row["thumb_key"],
            network=self._network,
            expires_s=expires_s,
            content_type="image/webp",
        )

    def to_put(self, row: Row, expires_s: int) -> tuple[str, dict[str, str]]:
        """Return a URL to put the bytes of a pending asset to, once, and the headers to send.

        Their length is signed too; every HTTP client sends it by itself.
        """
        headers = {"If-None-Match": "*"}
        if row["sha256"] is not None:
            digest = bytes.fromhex(row["sha256"])
            headers["x-amz-checksum-sha256"] = base64.b64encode(digest).decode()
        url = self._storage.presign_put(
            self._storage.assets,
            key_of(row),
            network=self._network,
            expires_s=expires_s,
            headers=headers | {"Content-Length": str(row["size"])},
        )
        return url, headers

    def to_put_parts(
        self, row: Row, numbers: Iterable[int], expires_s: int
    ) -> list[dict[str, str | int]]:
        """Return for each part of a pending upload a URL to put it to; its length is signed too."""
        cut, key = Cut.of(row), key_of(row)
        return [
            {
                "part_number": number,
                "url": self._storage.presign_part(
                    self._storage.assets,
                    key,
                    row["upload_id"],
                    number,
                    network=self._network,
                    expires_s=expires_s,
                    size=cut.size_of(number),
                ),
            }
            for number in numbers
        ]

    def content(self, row: Row) -> Content:
        """Return the bytes, to be served by us.

        Raises:
            NoContent: It is a folder.
            UploadIncomplete: They have not come yet.
            AssetCorrupt: They are not what was declared.
        """
        check_readable(row)
        return Content(
            bucket=self._storage.assets,
            key=key_of(row),
            size=row["size"],
            content_type=row["content_type"],
            etag=f'"{row["version"]}"',
            name=row["name"],
        )
