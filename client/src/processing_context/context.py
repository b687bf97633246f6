"""`ProcessingContext`: a thin facade over the resources of the service."""

from __future__ import annotations

import asyncio
import os
import queue
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from processing_context._batched_assets import SmallFiles
from processing_context._events.outbox import EventOutbox
from processing_context._events.queue import MessageQueue, as_message_queue
from processing_context._local_files import LocalFiles
from processing_context._outgoing import Outgoing
from processing_context._state import RunState
from processing_context._transport.api import Http
from processing_context._transport.network import Network
from processing_context.convert.image import Images
from processing_context.methods.assets import AssetMethods
from processing_context.methods.files import FileMethods
from processing_context.methods.images import ImageMethods
from processing_context.methods.jobs import JobMethods
from processing_context.methods.messages import MessageMethods
from processing_context.methods.state import StateMethods
from processing_context.resources.assets import Assets
from processing_context.resources.files import Files
from processing_context.resources.jobs import Jobs
from processing_context.resources.temp import TempFiles
from processing_context.resources.workflows import Workflows
from processing_context.wire.graph import Graph
from processing_context.wire.users import Me

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 60.0
RETRIES = 6
_KEPT_IN_A_JOB = 10_000
_RESOURCES = ("_assets", "_local", "_temp", "_files", "_images", "_jobs", "_workflows")
"""What `_make_resources` makes, once one of them is used: it names the node that it is for."""

_OWN = (*_RESOURCES, "_state")
"""What a copy does not share."""


class ProcessingContext(
    StateMethods, MessageMethods, AssetMethods, FileMethods, ImageMethods, JobMethods
):
    """A workflow's interface to the outside world.

    Use it as `async with ProcessingContext() as ctx: …`; one loop per context. What is `async` may
    talk to the service, what is not is pure memory and may be called from any thread.

    Args:
        base_url: Where the service is; else `CONTEXT_URL`.
        token: Its token; else `CONTEXT_TOKEN`.
        user_id: Whose context this is; asked of the service on entering if not given.
        workflow_id: Goes into what is created here.
        job_id: The job that this runs in; with a job's token its messages go to its event log.
        node_id: Goes into what is created here.
        graph: The workflow that is run, a `Graph` or a dict; copied.
        variables: For `get` and `set`; copied, not deeply.
        results: Of nodes that ran already, `{node id: {slot: value}}`; copied to the slots.
        capabilities: What this process can do, such as `cuda`.
        message_queue: A `queue.Queue` or `asyncio.Queue` to use instead of an own one.
        http_client: Serves the API calls instead of an own one, and is not closed. The byte path
            takes the proxies and certificates of the environment.
        timeout: Seconds to connect, and between two bytes.
        retries: How often a call is repeated after a dropped connection, 429, 502, 503 or 504.
        allow_local_files: Whether `file:` URLs and absolute paths may be read.
        _network: Instead of one of its own.
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
        http_client: httpx.AsyncClient | None = None,
        timeout: float = TIMEOUT_S,
        retries: int = RETRIES,
        allow_local_files: bool = False,
        _network: Network | None = None,
    ) -> None:
        if timeout <= 0 or retries < 0:
            raise ValueError(f"timeout must be over 0 and retries at least 0: {timeout}, {retries}")
        self.user_id = user_id
        self.workflow_id = workflow_id
        self.job_id = job_id
        self.node_id = node_id
        self.capabilities = tuple(capabilities)
        self.allow_local_files = allow_local_files
        self._state = RunState(graph, variables, results)
        self._network = _network or Network(timeout_s=timeout, retries=retries, client=http_client)
        self._http = Http(
            base_url or os.environ.get("CONTEXT_URL"),
            token or os.environ.get("CONTEXT_TOKEN"),
            self._network,
            timeout_s=timeout,
            retries=retries,
        )
        is_in_job = job_id is not None and self._http.is_job_token
        self.outbox = EventOutbox(self._http, job_id) if job_id and is_in_job else None
        self._messages = as_message_queue(
            message_queue, newest=_KEPT_IN_A_JOB if is_in_job else None
        )
        self._small = SmallFiles(self._http, self._network)
        self._is_copy = False
        self._original = self

    def _make_resources(self) -> None:
        origin = {"workflow_id": self.workflow_id or None, "node_id": self.node_id}
        transport = self._network.byte_path
        self._assets = Assets(self._http, transport, self._small, origin)
        self._local = LocalFiles(self._assets, transport)
        self._temp = TempFiles(self._http, transport)
        self._files = Files(
            self._http,
            transport,
            self._assets,
            self._temp,
            allow_local_files=self.allow_local_files,
        )
        self._images = Images(self._assets, self._files, self.asset_storage_url)
        self._jobs = Jobs(self._http, Outgoing(self._files, self._temp))
        self._workflows = Workflows(self._http)

    async def __aenter__(self) -> Self:
        if self.user_id is None and self._http.is_configured:
            try:
                self.user_id = (await self._http.get("/v1/me", Me)).user.id
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
        """Send what is posted, and close the connections. A copy leaves that to its original."""
        if self._is_copy:
            return
        try:
            if self.outbox is not None:
                await self.outbox.aclose()
        finally:
            await self._network.aclose()

    def copy(self, *, node_id: str | None = None) -> Self:
        """Return a context with the same connection, queue and variables, and results of its own.

        Args:
            node_id: Of the copy, where it is for another node.
        """
        copy: Self = self._copies()(node_id or self.node_id)
        copy._state = self._state.copy()
        return copy

    def _copies(self) -> Callable[[str | None], Any]:
        """Return what makes copies, which copy the results when those are first looked at."""
        parts = {name: part for name, part in self.__dict__.items() if name not in _OWN}
        parts |= {"_is_copy": True, "_original": self}

        def copy(node_id: str | None) -> Any:
            made = object.__new__(type(self))
            made.__dict__.update(parts)
            made.__dict__["node_id"] = node_id
            return made

        return copy

    if not TYPE_CHECKING:  # who has it checked is to be told of names that are not there

        def __getattr__(self, name: str) -> Any:
            """Make the parts when they are used: each node has a copy, few use them."""
            if name not in _OWN:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            if name == "_state":  # two threads of a node that ask at once get the same one
                return self.__dict__.setdefault(name, self._original._state.copy())
            self._make_resources()
            return self.__dict__[name]
