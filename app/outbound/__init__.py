"""HTTP requests to URLs of users, restricted to public addresses, also after redirects."""

from __future__ import annotations

from app.outbound.addresses import Allowed
from app.outbound.download import Download, Downloader
from app.outbound.errors import UrlNotAllowed, UrlUnreachable
from app.outbound.webhook_client import Answer, WebhookClient

__all__ = [
    "Allowed",
    "Answer",
    "Download",
    "Downloader",
    "UrlNotAllowed",
    "UrlUnreachable",
    "WebhookClient",
]
