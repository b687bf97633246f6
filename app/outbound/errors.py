"""Why a URL was not fetched."""

from __future__ import annotations

from app.http.problems import Invalid


class UrlNotAllowed(Invalid):
    """The service does not go there."""

    code = "url_not_allowed"
    detail = "The service fetches http and https URLs of public addresses only."


class UrlUnreachable(Invalid):
    """The other side did not answer, or not with a file."""

    code = "url_unreachable"
    detail = "The URL's server does not answer."
