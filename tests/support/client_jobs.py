"""Helpers for tests that run jobs through the client."""

from __future__ import annotations

import asyncio
from typing import Any

from processing_context import ProcessingContext
from tests.support.services import WAIT_S, User

GRAPH: dict[str, Any] = {
    "nodes": [{"id": "in", "type": "input.AnyInput", "data": {"name": "x", "value": 0}}],
    "edges": [],
}


async def first_job(user: User) -> dict[str, Any]:
    """Wait until a user has a job, and return it."""
    async with asyncio.timeout(WAIT_S):
        while not (jobs := await jobs_of(user)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return jobs[0]


async def jobs_of(user: User) -> list[dict[str, Any]]:
    """Return the jobs of a user."""
    found: list[dict[str, Any]] = (await user.http.get("/v1/jobs")).json()["jobs"]
    return found


def drained(ctx: ProcessingContext) -> list[Any]:
    """Remove and return the messages in the queue of a context."""
    messages = []
    while ctx.has_messages():
        messages.append(ctx.pop_message())
    return messages
