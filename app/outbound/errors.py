"""Problems of requests to URLs of users."""

from __future__ import annotations

from app.http.problems import Invalid


class UrlNotAllowed(Invalid):
    """The URL, or an address of its host, is not allowed."""

    code = "url_not_allowed"
    detail = "Only http and https URLs of public addresses are allowed."


class UrlUnreachable(Invalid):
    """The server cannot be reached, or its response cannot be used."""

    code = "url_unreachable"
    detail = "The server of the URL cannot be reached."
