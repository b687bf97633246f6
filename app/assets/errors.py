"""Problems of requests about assets."""

from __future__ import annotations

from app.http.problems import Conflict, Forbidden, Invalid, NotFound


class AssetNotFound(NotFound):
    """The asset does not exist, or it is another user's: the reply must not reveal which."""

    code = "asset_not_found"
    detail = "There is no such asset."


class InvalidParent(Invalid):
    """The parent does not exist, or it is not a folder."""

    code = "invalid_parent"
    detail = "parent_id names no folder of yours."


class InvalidAsset(Invalid):
    """The request does not describe a valid asset."""

    code = "invalid_asset"


class FolderNotEmpty(Conflict):
    """The folder to delete is not empty."""

    code = "folder_not_empty"
    detail = "The folder is not empty: delete it with recursive=true, or empty it first."


class MoveBelowItself(Conflict):
    """The new parent of a folder is the folder itself, or below it."""

    code = "move_below_itself"
    detail = "A folder cannot be moved below itself."


class NoContent(Conflict):
    """The asset is a folder, which has no bytes."""

    code = "no_content"
    detail = "A folder has no content."


class UploadIncomplete(Conflict):
    """The bytes have not been uploaded, or not all of them."""

    code = "upload_incomplete"
    detail = "The upload is not complete: storage does not have the object yet."


class UploadEnded(Conflict):
    """The asset has no pending upload."""

    code = "upload_ended"
    detail = "This asset has no pending upload: its bytes are stored."


class UploadExpired(Conflict):
    """Storage has deleted the parts, which were left for too long."""

    code = "upload_expired"
    detail = "Storage has given up this upload: abort it and reserve it again."


class AssetCorrupt(Conflict):
    """The bytes have another SHA-256 than was declared."""

    code = "asset_corrupt"
    detail = "The bytes of this asset are not those that were declared: upload them again."


class ContentMissing(Conflict):
    """The object of the asset does not exist any more."""

    code = "content_missing"
    detail = "Storage has lost the bytes of this asset: upload them again."


class ChecksumMismatch(Invalid):
    """The SHA-256 of the bytes is not the one that was declared."""

    code = "checksum_mismatch"
    detail = "The stored bytes have another SHA-256 than was declared."


class QuotaExceeded(Forbidden):
    """The user's assets would have more bytes than their quota."""

    code = "quota_exceeded"


class NoThumbnail(Invalid):
    """The asset is neither an image nor a video."""

    code = "no_thumbnail"
    detail = "Only images and videos have thumbnails."
