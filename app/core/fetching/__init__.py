"""What the service fetches for a user: from public addresses only, whatever the URL tries."""

from __future__ import annotations

from app.core.fetching.addresses import Allowed
from app.core.fetching.errors import UrlNotAllowed, UrlUnreachable
from app.core.fetching.fetcher import Fetched, Fetcher

__all__ = ["Allowed", "Fetched", "Fetcher", "UrlNotAllowed", "UrlUnreachable"]
