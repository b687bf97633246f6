"""What is to be told, written down by whoever makes it happen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx2

from app.database.statement import Connection
from app.runtime.ids import new_id
from app.webhooks import queries


async def add(
    on: Connection,
    webhook: Mapping[str, Any],
    *,
    user_id: str,
    job_id: str,
    type_: str,
    body: str,
    now: datetime,
) -> None:
    """Write down a message for a webhook that `Webhooks.accept` has let in.

    In the transaction of what it tells: no message is lost, and none tells what never was.
    """
    url = httpx2.URL(webhook["url"])
    await queries.insert(
        on,
        new_id(),
        user_id=user_id,
        job_id=job_id,
        type_=type_,
        url=webhook["url"],
        receiver=f"{url.scheme}://{url.netloc.decode('ascii')}",
        secret=webhook["secret"],
        body=body,
        now=now,
    )
