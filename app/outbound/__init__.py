"""Foreign servers, for a user: at public addresses only, whatever the URL tries."""

from __future__ import annotations

from app.outbound.addresses import Allowed
from app.outbound.download import Fetched, Fetcher
from app.outbound.errors import UrlNotAllowed, UrlUnreachable
from app.outbound.webhook_client import Answer, Poster

__all__ = ["Allowed", "Answer", "Fetched", "Fetcher", "Poster", "UrlNotAllowed", "UrlUnreachable"]
