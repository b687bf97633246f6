"""Problems of requests about users and tokens."""

from __future__ import annotations

from app.http.problems import ObjectNotFound


class UserNotFound(ObjectNotFound):
    """The user does not exist."""

    code = "user_not_found"
    noun = "User"


class TokenNotFound(ObjectNotFound):
    """The token does not exist, or it belongs to another user."""

    code = "token_not_found"
    noun = "Token"
