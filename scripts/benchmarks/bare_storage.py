"""Baseline of transfers: `http.client` requests to the S3 server, one at a time."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from minio import Minio

from app.runtime.ids import new_id
from app.settings import MIB, Settings

_HOUR = timedelta(hours=1)


class BareStorage:
    """A separate bucket on the S3 server of a stack."""

    def __init__(self, settings: Settings) -> None:
        if not (settings.s3_endpoint and settings.s3_access_key and settings.s3_secret_key):
            raise RuntimeError("the settings of the stack name no S3 server")
        parts = urlsplit(settings.s3_endpoint)
        self._minio = Minio(
            parts.netloc,
            access_key=settings.s3_access_key.get_secret_value(),
            secret_key=settings.s3_secret_key.get_secret_value(),
            secure=parts.scheme == "https",
            region=settings.s3_region,
        )
        self._bucket = "benchmark"
        if not self._minio.bucket_exists(self._bucket):
            self._minio.make_bucket(self._bucket)
        self._connection = http.client.HTTPConnection(parts.netloc, blocksize=MIB)

    def put_urls(self, count: int) -> Iterator[str]:
        """Return presigned PUT URLs for new keys."""
        urls = [
            self._minio.presigned_put_object(self._bucket, new_id(), _HOUR) for _ in range(count)
        ]
        return iter(urls)

    def get_url(self, path: Path) -> str:
        """Upload an object; return its presigned GET URL."""
        key = new_id()
        self.put(self._minio.presigned_put_object(self._bucket, key, _HOUR), path)
        return self._minio.presigned_get_object(self._bucket, key, _HOUR)

    def delete(self, url: str) -> None:
        """Delete the object of a URL."""
        self._minio.remove_object(self._bucket, urlsplit(url).path.rpartition("/")[2])

    def put(self, url: str, path: Path) -> None:
        """Upload an object."""
        self._connection.close()  # the server may have closed it after a long time idle
        with path.open("rb") as file:
            headers = {"Content-Length": str(path.stat().st_size)}
            self._connection.request("PUT", _target(url), file, headers)
            self._read()

    def get(self, url: str, size: int) -> None:
        """Download an object in blocks, and discard them."""
        self._connection.close()
        self._connection.request("GET", _target(url))
        if (read := self._read()) != size:
            raise RuntimeError(f"the S3 server returned {read} bytes instead of {size}")

    def _read(self) -> int:
        reply = self._connection.getresponse()
        block = memoryview(bytearray(MIB))
        size = 0
        while got := reply.readinto(block):
            size += got
        if reply.status != http.client.OK:
            raise RuntimeError(f"the S3 server replied with status {reply.status}")
        return size


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
