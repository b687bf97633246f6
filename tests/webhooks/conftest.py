"""A service that sends webhooks, a user of it, and a receiver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from app.settings import Settings
from tests.support.jobs import owner
from tests.support.receivers import Receiver, receiving
from tests.support.services import Service, User, running
from tests.support.webhooks import PATIENT


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def sender(new_settings: Callable[..., Settings]) -> Iterator[Service]:
    """A service that posts to loopback and does not wait long between attempts."""
    with running(new_settings(**PATIENT, webhook_retry_s=(0, 0))) as made:
        yield made


@pytest_asyncio.fixture
async def user(sender: Service) -> AsyncIterator[User]:
    async with owner(sender) as made:
        yield made
