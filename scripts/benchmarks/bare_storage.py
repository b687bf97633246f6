"""The S3 server by `http.client`, one request at a time: the limit of every transfer."""

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
    """A bucket of its own on the S3 server of a stack."""

    def __init__(self, settings: Settings) -> None:
        if not (settings.s3_endpoint and settings.s3_access_key and settings.s3_secret_key):
            raise RuntimeError("the stack has no S3 server")
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
        """Presign PUTs of new keys."""
        urls = [
            self._minio.presigned_put_object(self._bucket, new_id(), _HOUR) for _ in range(count)
        ]
        return iter(urls)

    def get_url(self, path: Path) -> str:
        """Store an object; presign its GET."""
        key = new_id()
        self.put(self._minio.presigned_put_object(self._bucket, key, _HOUR), path)
        return self._minio.presigned_get_object(self._bucket, key, _HOUR)

    def delete(self, url: str) -> None:
        """Delete the object of a URL."""
        self._minio.remove_object(self._bucket, urlsplit(url).path.rpartition("/")[2])

    def put(self, url: str, path: Path) -> None:
        """PUT an object."""
        self._connection.close()  # kept for long, the server may have closed it meanwhile
        with path.open("rb") as file:
            headers = {"Content-Length": str(path.stat().st_size)}
            self._connection.request("PUT", _place(url), file, headers)
            self._read()

    def get(self, url: str, size: int) -> None:
        """GET an object, in blocks."""
        self._connection.close()
        self._connection.request("GET", _place(url))
        if self._read() != size:
            raise RuntimeError("the S3 server gave another size")

    def _read(self) -> int:
        reply = self._connection.getresponse()
        block = memoryview(bytearray(MIB))
        size = 0
        while got := reply.readinto(block):
            size += got
        if reply.status != http.client.OK:
            raise RuntimeError(f"the S3 server answered {reply.status}")
        return size


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
