"""Problems of requests about assets."""

from __future__ import annotations

from app.http.problems import Conflict, Invalid, ObjectNotFound


class AssetNotFound(ObjectNotFound):
    """The asset does not exist, or it belongs to another user."""

    code = "asset_not_found"
    noun = "Asset"


class InvalidParent(Invalid):
    """The parent does not exist, or it is not a folder."""

    code = "invalid_parent"
    detail = "`parent_id` is not the id of a folder of the user."


class InvalidAsset(Invalid):
    """The request does not describe a valid asset."""

    code = "invalid_asset"


class FolderNotEmpty(Conflict):
    """The folder to delete is not empty."""

    code = "folder_not_empty"
    detail = "The folder is not empty: delete it with recursive=true, or empty it first."


class MoveBelowItself(Conflict):
    """The new parent of a folder is the folder itself, or an asset below it."""

    code = "move_below_itself"
    detail = "A folder cannot be moved into itself or into a folder below it."


class NoContent(Conflict):
    """The asset is a folder, which has no bytes."""

    code = "no_content"
    detail = "A folder has no content."


class UploadIncomplete(Conflict):
    """The bytes have not been uploaded completely."""

    code = "upload_incomplete"
    detail = "The upload is not complete: put the bytes to the URL of the upload first."


class UploadEnded(Conflict):
    """The asset has no pending upload."""

    code = "upload_ended"
    detail = "The asset has no pending upload: its bytes are stored."


class UploadExpired(Conflict):
    """Storage has deleted the parts of an upload that was not completed in time."""

    code = "upload_expired"
    detail = "Storage has deleted the parts of this upload: abort it and reserve a new one."


class AssetCorrupt(Conflict):
    """The stored bytes do not match the declared SHA-256, or storage has lost them."""

    code = "asset_corrupt"
    detail = "The bytes of this asset are corrupt or lost: upload them again."


class ContentMissing(Conflict):
    """The object of the asset is missing in storage."""

    code = "content_missing"
    detail = "Storage has lost the bytes of this asset: upload them again."


class ChecksumMismatch(Invalid):
    """The bytes do not match the declared SHA-256."""

    code = "checksum_mismatch"
    detail = "The stored bytes do not match the declared SHA-256."


class NoThumbnail(Invalid):
    """The asset is neither an image nor a video."""

    code = "no_thumbnail"
    detail = "Only images and videos have thumbnails."
