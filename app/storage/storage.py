"""Storage of a replica: its buckets, and presigned URLs for both networks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from obstore.store import S3Store
from starlette.requests import HTTPConnection

from app.http.headers import header
from app.runtime.fair_slots import FairSlots
from app.settings import Settings
from app.storage.admin import Admin
from app.storage.multipart import PARTS_AT_ONCE, MultipartUploads
from app.storage.objects import Bucket
from app.storage.presign import Signer
from app.storage.s3_requests import S3Requests

Network = Literal["public", "internal"]
"""Network of a caller, which decides the host of presigned URLs: public or internal."""
BucketName = Literal["assets", "temp"]
"""Name of a bucket in the journal."""
MAX_PUT_BYTES = 5 * 1024**3
"""Limit of S3 for one PUT."""
_WAITING_PER_STREAM = 8
"""Uploads that may wait for each streamed upload; a waiting one takes up to 2 MiB of memory."""
_LONGEST_JOB_DAYS = 366
"""Days for which a job may run and its files be extended, before storage itself deletes them."""
MAX_OBJECT_BYTES = 5 * 1024**4
"""Largest object that all S3 servers accept."""
ACCESS_CHECK = ".access-check"
"""Key of the object that a check of the credentials stores and deletes."""


class Storage:
    """Both buckets in S3, and the signers of URLs.

    Args:
        settings: The settings with the server, the buckets and the credentials.
        parts_at_once: The number of parts that are listed by one request.
    """

    def __init__(self, settings: Settings, *, parts_at_once: int = PARTS_AT_ONCE) -> None:
        if not (settings.s3_endpoint and settings.s3_access_key and settings.s3_secret_key):
            raise ValueError(
                "no storage is configured: start the embedded one, or set CONTEXT_S3_ENDPOINT, "
                "CONTEXT_S3_ACCESS_KEY and CONTEXT_S3_SECRET_KEY"
            )
        endpoint = settings.s3_endpoint.rstrip("/")
        public = (settings.s3_public_endpoint or endpoint).rstrip("/")
        keys = {
            "access_key": settings.s3_access_key.get_secret_value(),
            "secret_key": settings.s3_secret_key.get_secret_value(),
        }
        self._settings = settings
        self._parts_at_once = parts_at_once
        self._signers: dict[Network, Signer] = {
            "internal": Signer(endpoint, region=settings.s3_region, **keys),
            "public": Signer(public, region=settings.s3_region, **keys),
        }
        streams = settings.max_streamed_uploads
        self._streams = FairSlots(
            streams, per_user=(streams + 1) // 2, queue=_WAITING_PER_STREAM * streams
        )
        self._requests = S3Requests(self._signers["internal"])
        self._admin = Admin(endpoint, self._requests, region=settings.s3_region, **keys)
        self.assets = self._bucket(settings.s3_asset_bucket, endpoint, keys)
        self.temp = self._bucket(settings.s3_temp_bucket, endpoint, keys)

    def _bucket(self, name: str, endpoint: str, keys: Mapping[str, str]) -> Bucket:
        store = S3Store(
            name,
            endpoint=endpoint,
            region=self._settings.s3_region,
            access_key_id=keys["access_key"],
            secret_access_key=keys["secret_key"],
            virtual_hosted_style_request=False,
            # All servers verify this checksum, but not all verify x-amz-content-sha256.
            checksum_algorithm="sha256",
            # `timeout` covers a complete transfer, which a slow reader may prolong.
            client_options={
                "allow_http": True,
                "connect_timeout": "5s",
                "read_timeout": "60s",
                "timeout": "1day",
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=10)},
        )
        return Bucket(
            name,
            store,
            self._admin,
            MultipartUploads(name, self._requests, parts_at_once=self._parts_at_once),
            self._streams,
            max_bytes=self._settings.max_upload_bytes,
        )

    def by_name(self, bucket: str) -> Bucket:
        """Return a bucket by its name in the journal."""
        return {"assets": self.assets, "temp": self.temp}[bucket]

    async def start(self) -> None:
        """Create the buckets that are missing.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        origins = self._settings.allowed_origins
        await self._admin.ensure_bucket(self.assets.name, origins=origins, expire_after_days=None)
        # A fallback for the sweeper, which uses the exact expiry of each file.
        longest_s = max(self._settings.temp_ttl_s, self._settings.job_temp_ttl_s)
        await self._admin.ensure_bucket(
            self.temp.name,
            origins=origins,
            expire_after_days=longest_s // 86_400 + _LONGEST_JOB_DAYS,
        )

    async def check(self) -> None:
        """Check that storage responds.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        await self.assets.check()

    async def access_error(self) -> str:
        """Return the code with which storage refuses to list and to store objects; empty if none.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        bucket = self.assets.name
        query = {"list-type": "2", "max-keys": "1"}
        listed = await self._requests.send("list objects", "GET", bucket, query=query)
        if listed.code in ("", "NoSuchBucket"):  # a missing bucket is created
            return ""
        if listed.code != "AccessDenied":
            return listed.code
        # The credentials may be good for objects only.
        stored = await self._requests.send("store an object", "PUT", bucket, ACCESS_CHECK, query={})
        if not stored.code:
            await self._requests.send("delete an object", "DELETE", bucket, ACCESS_CHECK, query={})
        return stored.code

    def presign_get(
        self,
        bucket: Bucket,
        key: str,
        *,
        network: Network,
        expires_s: int,
        content_type: str,
        disposition: str | None = None,
        method: str = "GET",
    ) -> str:
        """Return a URL to get an object, which is served with the given content type.

        A URL that is signed for GET does not permit HEAD, nor the reverse.
        """
        query = {"response-content-type": content_type}
        if disposition is not None:
            query["response-content-disposition"] = disposition
        return self._signers[network].presign(
            method, bucket.name, key, expires_s=expires_s, query=query
        )

    def presign_put(
        self,
        bucket: Bucket,
        key: str,
        *,
        network: Network,
        expires_s: int,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Return a URL to put an object with exactly these headers."""
        return self._signers[network].presign(
            "PUT", bucket.name, key, expires_s=expires_s, headers=headers
        )

    def presign_part(
        self,
        bucket: Bucket,
        key: str,
        upload_id: str,
        number: int,
        *,
        network: Network,
        expires_s: int,
        size: int,
    ) -> str:
        """Return a URL to put a part of exactly `size` bytes, valid at most until completion."""
        return self._signers[network].presign(
            "PUT",
            bucket.name,
            key,
            expires_s=expires_s,
            query={"partNumber": str(number), "uploadId": upload_id},
            headers={"Content-Length": str(size)},
        )


def network_of(connection: HTTPConnection) -> Network:
    """Return the network of the caller, by the header `X-Storage-Network`."""
    network = header(connection.scope, b"x-storage-network")
    return "internal" if network.strip().lower() == "internal" else "public"
