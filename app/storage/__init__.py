"""Object storage in S3: buckets, presigned URLs, multipart uploads and the storage journal."""

from __future__ import annotations

from app.storage.errors import ObjectMissing, Refused, StorageUnavailable
from app.storage.journal import Journal
from app.storage.multipart import MAX_PARTS, Part
from app.storage.objects import Bucket
from app.storage.storage import (
    MAX_OBJECT_BYTES,
    MAX_PUT_BYTES,
    BucketName,
    Network,
    Storage,
    network_of,
)
from app.storage.stored_objects import KeyListing, StoredObjects

__all__ = [
    "MAX_OBJECT_BYTES",
    "MAX_PARTS",
    "MAX_PUT_BYTES",
    "Bucket",
    "BucketName",
    "Journal",
    "KeyListing",
    "Network",
    "ObjectMissing",
    "Part",
    "Refused",
    "Storage",
    "StorageUnavailable",
    "StoredObjects",
    "network_of",
]
