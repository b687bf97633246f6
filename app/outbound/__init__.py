"""Requests to servers that users name: public addresses only, after every redirect too."""

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
