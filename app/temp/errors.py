"""Problems of requests about temporary files."""

from __future__ import annotations

from app.http.problems import Conflict, Gone, ObjectNotFound


class TempNotFound(ObjectNotFound):
    """The file does not exist, or it belongs to another user."""

    code = "temp_not_found"
    noun = "Temporary file"


class TempExpired(Gone):
    """The file has expired."""

    code = "temp_expired"
    detail = "The temporary file has expired."


class TempNotStored(Conflict):
    """The bytes of the file have not been uploaded."""

    code = "upload_incomplete"
    detail = "The temporary file has not been uploaded: put its bytes to its `put_url` first."
