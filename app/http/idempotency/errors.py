"""Problems with the `Idempotency-Key` of a request."""

from __future__ import annotations

from app.http.problems import BadRequest, Conflict, Invalid


class IdempotencyInFlight(Conflict):
    """The first request with this key is still running."""

    code = "idempotency_in_flight"
    detail = "The first request with this Idempotency-Key is still running: retry in a few seconds."


class IdempotencyKeyReused(Invalid):
    """The key was already used with another body."""

    code = "idempotency_key_reused"
    detail = (
        "This Idempotency-Key was already used with another body: use a new key for a new request."
    )


class BadIdempotencyKey(BadRequest):
    """The header is not a valid key."""

    code = "invalid_idempotency_key"
    detail = "The Idempotency-Key is invalid: send 1 to 255 printable ASCII characters."
