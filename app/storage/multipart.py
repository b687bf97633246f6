"""S3 multipart uploads whose parts are put to presigned URLs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from app.storage.errors import ObjectMissing, StorageUnavailable
from app.storage.s3_requests import S3Requests, text_of

MAX_PARTS = 9_999
"""One less than the limit of S3: SeaweedFS sorts part 10,000 before part 1,000, and loses parts."""
PARTS_AT_ONCE = 1000
COMPLETE_TIMEOUT_S = 600
"""Long, because some servers copy all parts before they respond."""


@dataclass(frozen=True, slots=True)
class Part:
    """Stored part of a multipart upload."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Multipart upload that has been neither completed nor aborted."""

    key: str
    upload_id: str
    begun_at: datetime


class MultipartUploads:
    """Multipart uploads of one bucket.

    Args:
        bucket: The name of the bucket.
        requests: The S3 client.
        parts_at_once: The number of parts that are listed by one request.
    """

    def __init__(
        self, bucket: str, requests: S3Requests, *, parts_at_once: int = PARTS_AT_ONCE
    ) -> None:
        self._bucket = bucket
        self._requests = requests
        self._parts_at_once = parts_at_once

    async def begin(self, key: str) -> str:
        """Create an upload and return its id.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        answer = await self._requests.send(
            "begin an upload", "POST", self._bucket, key, query={"uploads": ""}
        )
        upload_id = text_of(answer.checked(), "UploadId")
        if not upload_id:
            raise StorageUnavailable
        return upload_id

    async def stored(self, key: str, upload_id: str) -> list[Part]:
        """Return the stored parts, in the order of their numbers.

        Raises:
            ObjectMissing: The upload was completed, aborted, or removed by storage.
            StorageUnavailable: Storage cannot be reached.
        """
        parts: list[Part] = []
        marker = ""
        while True:
            query = {"uploadId": upload_id, "max-parts": str(self._parts_at_once)}
            if marker:
                query["part-number-marker"] = marker
            answer = await self._requests.send("list parts", "GET", self._bucket, key, query=query)
            page = answer.checked()
            parts += _parts(page)
            marker = text_of(page, "NextPartNumberMarker")
            if text_of(page, "IsTruncated") != "true" or not marker:
                return sorted(parts, key=lambda part: part.number)

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Complete the object from its parts.

        Raises:
            ObjectMissing: The upload was completed, aborted, or removed by storage.
            Refused: A part is missing, was replaced, or is too small.
            StorageUnavailable: Storage cannot be reached; the object may have been completed.
        """
        root = Element("CompleteMultipartUpload")
        for part in parts:
            element = SubElement(root, "Part")
            SubElement(element, "PartNumber").text = str(part.number)
            SubElement(element, "ETag").text = f'"{part.etag}"'
        answer = await self._requests.send(
            "complete an upload",
            "POST",
            self._bucket,
            key,
            query={"uploadId": upload_id},
            body=tostring(root),
            timeout_s=COMPLETE_TIMEOUT_S,
        )
        answer.checked()

    async def abort(self, key: str, upload_id: str) -> None:
        """Abort an upload and delete its parts; a missing upload is not an error.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        answer = await self._requests.send(
            "abort an upload", "DELETE", self._bucket, key, query={"uploadId": upload_id}
        )
        with suppress(ObjectMissing):
            answer.checked()

    async def unfinished(self, prefix: str = "") -> AsyncIterator[Unfinished]:
        """Yield the uploads whose keys begin with a prefix; MinIO supports only complete keys.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        markers: dict[str, str] = {}
        while True:
            answer = await self._requests.send(
                "list uploads",
                "GET",
                self._bucket,
                query={"uploads": "", "prefix": prefix, **markers},
            )
            page = answer.checked()
            if page is None:
                return
            for item in page.findall("{*}Upload"):
                yield Unfinished(
                    key=text_of(item, "Key"),
                    upload_id=text_of(item, "UploadId"),
                    begun_at=datetime.fromisoformat(text_of(item, "Initiated")),
                )
            following = {
                "key-marker": text_of(page, "NextKeyMarker"),
                "upload-id-marker": text_of(page, "NextUploadIdMarker"),
            }
            markers = {name: value for name, value in following.items() if value}
            if text_of(page, "IsTruncated") != "true" or not markers:
                return

    async def abort_all(self, key: str) -> None:
        """Abort all uploads of one key.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        async for upload in self.unfinished(key):
            if upload.key == key:
                await self.abort(key, upload.upload_id)


def _parts(answer: Element | None) -> list[Part]:
    if answer is None:
        return []
    return [
        Part(
            number=int(text_of(item, "PartNumber")),
            size=int(text_of(item, "Size")),
            etag=text_of(item, "ETag").strip('"'),
        )
        for item in answer.findall("{*}Part")
    ]
