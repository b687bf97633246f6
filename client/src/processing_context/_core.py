"""Connections and event outbox that a context shares with its copies."""

from __future__ import annotations

from processing_context._batched_assets import BatchedAssets
from processing_context._events.outbox import EventOutbox
from processing_context._events.queue import MessageQueue
from processing_context._transport.api import Api, transfer_headers
from processing_context._transport.bulk import Bulk
from processing_context._transport.network import Network


class Core:
    """Parts of a context that talk to the service.

    Args:
        api: The API client.
        network: Connections of `api`; closed with this object.
        messages: Queue of the messages of jobs.
        outbox: Outbox of the job that the context runs in; None outside of a job.

    Attributes:
        batched_assets: Creates and finds small assets, many in one request.
        downloads: Finds assets to download, with URLs for this process only.
    """

    def __init__(
        self, api: Api, network: Network, messages: MessageQueue, outbox: EventOutbox | None
    ) -> None:
        self.api = api
        self.messages = messages
        self.outbox = outbox
        self.batched_assets = BatchedAssets(api, network)
        self.downloads = BatchedAssets(api, network, transfer_headers())
        self._network = network

    @property
    def bulk(self) -> Bulk:
        """Transfers of file contents, in threads; created on first use."""
        return self._network.bulk

    async def aclose(self) -> None:
        """Send the posted events, then close the connections."""
        try:
            if self.outbox is not None:
                await self.outbox.aclose()
        finally:
            await self._network.aclose()
