"""Problems of requests about events."""

from __future__ import annotations

from app.http.problems import TooLarge


class EventTooLarge(TooLarge):
    """An event is larger than the limit."""

    code = "event_too_large"
