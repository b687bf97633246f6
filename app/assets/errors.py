"""What can be wrong with a request about assets."""

from __future__ import annotations

from app.http.problems import Conflict, Invalid, NotFound


class AssetNotFound(NotFound):
    """No such asset, or not the caller's: told apart, ids could be probed."""

    code = "asset_not_found"
    detail = "There is no such asset."


class InvalidParent(Invalid):
    """The parent does not exist, or is no folder."""

    code = "invalid_parent"
    detail = "parent_id names no folder of yours."


class InvalidAsset(Invalid):
    """The asset cannot be made like this."""

    code = "invalid_asset"


class FolderNotEmpty(Conflict):
    """A folder with something in it was to be deleted."""

    code = "folder_not_empty"
    detail = "The folder is not empty: delete it with recursive=true, or empty it first."


class MoveBelowItself(Conflict):
    """A folder was to be moved into its own tree."""

    code = "move_below_itself"
    detail = "A folder cannot be moved below itself."


class NoContent(Conflict):
    """A folder has no bytes."""

    code = "no_content"
    detail = "A folder has no content."


class UploadIncomplete(Conflict):
    """The bytes are not (all) there."""

    code = "upload_incomplete"
    detail = "The upload is not complete: storage does not have the object yet."


class UploadEnded(Conflict):
    """The asset's upload is over."""

    code = "upload_ended"
    detail = "This asset has no pending upload: its bytes are stored."


class UploadExpired(Conflict):
    """Storage has thrown the parts away: they were left for too long."""

    code = "upload_expired"
    detail = "Storage has given up this upload: abort it and reserve it again."


class AssetCorrupt(Conflict):
    """The bytes are not what was declared."""

    code = "asset_corrupt"
    detail = "The bytes of this asset are not those that were declared: upload them again."


class ContentMissing(Conflict):
    """The row is there, the object is not."""

    code = "content_missing"
    detail = "Storage has lost the bytes of this asset: upload them again."


class ChecksumMismatch(Invalid):
    """The bytes have another SHA-256 than declared."""

    code = "checksum_mismatch"
    detail = "The stored bytes have another SHA-256 than was declared."
