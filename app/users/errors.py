"""Problems of requests about users and tokens."""

from __future__ import annotations

from app.http.problems import NotFound


class UserNotFound(NotFound):
    """The user does not exist."""

    code = "user_not_found"
    detail = "There is no such user."


class TokenNotFound(NotFound):
    """The token does not exist, or it is another user's."""

    code = "token_not_found"
    detail = "There is no such token."
