"""A service that tells, somebody it tells for, and who is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from app.settings import Settings
from tests.app.webhooks.told import PATIENT
from tests.jobs import owner
from tests.receivers import Receiver, receiving
from tests.services import Service, User, running


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def teller(new_settings: Callable[..., Settings]) -> Iterator[Service]:
    """A service that posts to loopback and does not wait long between attempts."""
    with running(new_settings(**PATIENT, webhook_retry_s=(0, 0))) as made:
        yield made


@pytest_asyncio.fixture
async def user(teller: Service) -> AsyncIterator[User]:
    async with owner(teller) as made:
        yield made
