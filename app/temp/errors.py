"""Problems of requests about temporary files."""

from __future__ import annotations

from app.http.problems import Conflict, Gone, NotFound


class TempNotFound(NotFound):
    """The file does not exist, or it is another user's."""

    code = "temp_not_found"
    detail = "There is no such temporary file."


class TempExpired(Gone):
    """The file has expired."""

    code = "temp_expired"
    detail = "This temporary file has expired."


class TempNotStored(Conflict):
    """The bytes of the file have not been uploaded."""

    code = "upload_incomplete"
    detail = "Nothing has been put to the URL of this temporary file yet."
