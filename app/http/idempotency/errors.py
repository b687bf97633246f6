"""Problems of requests with an `Idempotency-Key`."""

from __future__ import annotations

from app.http.problems import BadRequest, Conflict, Invalid


class IdempotencyInFlight(Conflict):
    """The first request with this key is still running."""

    code = "idempotency_in_flight"
    detail = "The first request with this Idempotency-Key is still running: try again soon."


class IdempotencyKeyReused(Invalid):
    """The key was used before with another body."""

    code = "idempotency_key_reused"
    detail = (
        "This Idempotency-Key was used before with another body: take a new key for a new request."
    )


class BadIdempotencyKey(BadRequest):
    """The header is not a valid key."""

    code = "invalid_idempotency_key"
    detail = "An Idempotency-Key has 1 to 255 printable ASCII characters."
