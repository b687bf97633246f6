"""Imports every table, so that `Base.metadata` is whole for migrations and tests."""

from __future__ import annotations

from app.assets.models import AssetRow, BytesRow, ThumbnailRow
from app.database.engine import Base
from app.events.models import JobEventRow, NodeStateRow
from app.http.idempotency import IdempotencyKeyRow
from app.jobs.models import JobRow, LeaseRow
from app.sockets.models import TicketRow
from app.storage.journal import JournalRow
from app.temp.models import TempRow
from app.users.models import TokenRow, UserRow
from app.webhooks.models import DeliveryRow
from app.workers.models import WorkerRow
from app.workflows.models import WorkflowRow, WorkflowVersionRow

__all__ = [
    "AssetRow",
    "Base",
    "BytesRow",
    "DeliveryRow",
    "IdempotencyKeyRow",
    "JobEventRow",
    "JobRow",
    "JournalRow",
    "LeaseRow",
    "NodeStateRow",
    "TempRow",
    "ThumbnailRow",
    "TicketRow",
    "TokenRow",
    "UserRow",
    "WorkerRow",
    "WorkflowRow",
    "WorkflowVersionRow",
]
