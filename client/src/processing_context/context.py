"""`ProcessingContext`: the interface of a workflow to the service."""

from __future__ import annotations

import asyncio
import os
import queue
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from processing_context._core import Core
from processing_context._events.outbox import EventOutbox
from processing_context._events.queue import MessageQueue, as_message_queue
from processing_context._state import RunState
from processing_context._tokens import find_token
from processing_context._transport.api import Api
from processing_context._transport.network import Network
from processing_context._transport.retry import RETRIES
from processing_context.resources.audio import AudioMethods
from processing_context.resources.dataframes import DataframeMethods
from processing_context.resources.folders import FolderMethods
from processing_context.resources.images import ImageMethods
from processing_context.resources.models import ModelMethods
from processing_context.resources.state import StateMethods
from processing_context.resources.texts import TextMethods
from processing_context.resources.video import VideoMethods
from processing_context.resources.workflows import WorkflowMethods
from processing_context.wire.graph import Graph
from processing_context.wire.users import Me

if TYPE_CHECKING:
    from processing_context._transport.network import AsyncClient

TIMEOUT_S = 60.0
_KEPT_IN_A_JOB = 10_000


# Each base adds the methods of one resource; shared methods come with their common bases.
class ProcessingContext(
    StateMethods,
    FolderMethods,
    ImageMethods,
    AudioMethods,
    VideoMethods,
    TextMethods,
    DataframeMethods,
    ModelMethods,
    WorkflowMethods,
):
    """Interface of a workflow to the service.

    Use it as `async with ProcessingContext() as ctx: …`, in one event loop. Methods that are
    `async` may talk to the service; the others use only memory and are thread-safe.

    Args:
        base_url: URL of the service; by default `CONTEXT_URL`.
        token: Token of the service; by default `CONTEXT_TOKEN`, else the content of the file
            `CONTEXT_TOKEN_FILE`.
        user_id: User of the context; by default requested from the service on entering.
        workflow_id: Recorded with the assets that are created.
        job_id: The job that the context runs in; with a job's token, messages are sent to its
            event log.
        node_id: Recorded with the assets that are created.
        graph: The workflow, a `Graph` or a dict; copied.
        variables: For `get` and `set`; copied, not deeply.
        results: Outputs of nodes, `{node id: {slot: value}}`; copied down to the slots.
        capabilities: Capabilities of this process, such as `cuda`.
        message_queue: A `queue.Queue` or `asyncio.Queue` to use instead of a new one.
        http_client: An `httpx2.AsyncClient` or `httpx.AsyncClient` for the API calls, which is not
            closed. File transfers use the proxies and certificates of the environment.
        timeout: Seconds to connect, and between two bytes.
        retries: How often a call is repeated after a dropped connection, 429, 502, 503 or 504.
        allow_local_files: Allow reading `file:` URLs and absolute paths.
        _network: Connections to use instead of new ones.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        token: str | None = None,
        user_id: str | None = None,
        workflow_id: str = "",
        job_id: str | None = None,
        node_id: str | None = None,
        graph: Graph | Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
        results: Mapping[str, Mapping[str, Any]] | None = None,
        capabilities: Sequence[str] = (),
        message_queue: MessageQueue | queue.Queue[Any] | asyncio.Queue[Any] | None = None,
        http_client: AsyncClient | None = None,
        timeout: float = TIMEOUT_S,
        retries: int = RETRIES,
        allow_local_files: bool = False,
        _network: Network | None = None,
    ) -> None:
        if timeout <= 0 or retries < 0:
            raise ValueError(f"timeout={timeout} must be over 0, retries={retries} 0 or more")
        self.user_id = user_id
        self.workflow_id = workflow_id
        self.job_id = job_id
        self.node_id = node_id
        self.capabilities = tuple(capabilities)
        self.allow_local_files = allow_local_files
        self._state = RunState(graph, variables, results)
        network = _network or Network(timeout_s=timeout, retries=retries, client=http_client)
        api = Api(
            base_url or os.environ.get("CONTEXT_URL"),
            find_token(token),
            network,
            timeout_s=timeout,
            retries=retries,
        )
        is_in_job = job_id is not None and api.is_job_token
        self.outbox = EventOutbox(api, job_id) if job_id and is_in_job else None
        messages = as_message_queue(message_queue, newest=_KEPT_IN_A_JOB if is_in_job else None)
        self._core = Core(api, network, messages, self.outbox)
        self._is_copy = False

    async def __aenter__(self) -> Self:
        if self.user_id is None and self._core.api.is_configured:
            try:
                self.user_id = (await self._core.api.get("/v1/me", Me)).user.id
            except BaseException:
                await self.aclose()
                raise
        if self.outbox is not None:
            self.outbox.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Send the posted events and close the connections; no effect on a copy."""
        if not self._is_copy:
            await self._core.aclose()

    def copy(self, *, node_id: str | None = None) -> Self:
        """Return a context with the same connections, queue and variables, and copied results.

        Args:
            node_id: Node of the copy; by default that of this context.
        """
        return self._copy_with(self._state.copy(), node_id or self.node_id)

    def _copy_for(self, node_id: str) -> Self:
        """Return a copy for a node of a run; results are copied when the node first reads them."""
        return self._copy_with(self._state.copy_lazily(), node_id)

    def _copy_with(self, state: RunState, node_id: str | None) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.node_id = node_id
        copy._state = state
        copy._is_copy = True
        return copy
