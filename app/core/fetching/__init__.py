"""Foreign servers, for a user: at public addresses only, whatever the URL tries."""

from __future__ import annotations

from app.core.fetching.addresses import Allowed
from app.core.fetching.errors import UrlNotAllowed, UrlUnreachable
from app.core.fetching.fetcher import Fetched, Fetcher
from app.core.fetching.poster import Answer, Poster

__all__ = ["Allowed", "Answer", "Fetched", "Fetcher", "Poster", "UrlNotAllowed", "UrlUnreachable"]
