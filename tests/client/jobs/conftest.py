"""Fixtures: a context behind a network that tests interrupt, and a worker controlled by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import pytest
import pytest_asyncio

from processing_context import ProcessingContext
from tests.support.manual_worker import HandWorker
from tests.support.network import Network
from tests.support.services import WAIT_S, Service, User


class PatientContext(ProcessingContext):
    """Context that waits for a cancellation without a short limit."""

    _cancel_s: ClassVar[float] = WAIT_S


@pytest.fixture
def network(service: Service) -> Iterator[Network]:
    with Network(service.url) as made:
        yield made


@pytest_asyncio.fixture
async def ctx(network: Network, user: User) -> AsyncIterator[ProcessingContext]:
    async with PatientContext(base_url=network.url, token=user.token) as made:
        yield made


@pytest_asyncio.fixture
async def worker(service: Service, user: User) -> AsyncIterator[HandWorker]:
    made = await HandWorker.of(service, user)
    yield made
    await made.aclose()
