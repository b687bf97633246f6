"""Execution of a graph as a data flow: a node starts when its inputs are available."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from processing_context.nodes.base import OUTPUT
from processing_context.nodes.errors import (
    GraphError,
    NodeProcessError,
    NodeTimeoutError,
    UnsendableError,
)
from processing_context.nodes.registry import NodeRegistry
from processing_context.nodes.runner.capture import NODE_LOG
from processing_context.nodes.runner.executors.executor import as_error, call_once, pieces
from processing_context.nodes.runner.executors.time_limit import STOP_S, within
from processing_context.nodes.runner.node_log import NodeLog
from processing_context.nodes.runner.plan import Plan, PlannedNode
from processing_context.nodes.runner.publish import (
    AssetPublisher,
    TempPublisher,
    fit_result,
    inline,
    publish_rest,
)
from processing_context.nodes.runner.reporter import NodeReporter
from processing_context.nodes.runner.slots import StreamedSlots, to_slots
from processing_context.nodes.runner.tracebacks import short_traceback, shortened, summary
from processing_context.nodes.runner.values import json_bytes
from processing_context.wire.events import JobUpdate, NodeUpdate
from processing_context.wire.graph import Graph
from processing_context.wire.jobs import JobError

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

_PROGRESS_EVERY_S = 1.0
_TURN_S = 0.001
"""Seconds that a chain of nodes may run before other tasks get a turn."""


class RunFailedError(Exception):
    """A graph failed; `error` is the error of the job."""

    def __init__(self, error: JobError) -> None:
        """Store the error of the job."""
        super().__init__(error.message)
        self.error = error


class GraphRunner:
    """One run of a graph in a context, to which its messages are posted."""

    def __init__(
        self,
        context: ProcessingContext,
        registry: NodeRegistry,
        *,
        node_memory_bytes: int | None = None,
        node_stop_s: float = STOP_S,
    ) -> None:
        """Create a run.

        Args:
            context: Receives the messages.
            registry: The available nodes.
            node_memory_bytes: Memory limit of a node that runs in its own process.
            node_stop_s: How long a node may take to stop after its time limit.
        """
        self._context = context
        self._registry = registry
        self._node_memory_bytes = node_memory_bytes
        self._node_stop_s = node_stop_s
        self._reporter = NodeReporter(context)
        self._context_of = context._copy_for
        self._results = context.results
        self._waiting: dict[str, int] = {}
        self._unread: dict[str, int] = {}
        self._outputs: dict[str, Any] = {}
        self._publishers: dict[str, AssetPublisher] = {}
        self._failure: RunFailedError | None = None
        self._is_stopped = False
        self._done = 0
        self._progress_at = time.monotonic()
        self._turned_at = 0.0

    async def run(self, graph: Graph, params: Mapping[str, Any]) -> dict[str, Any]:
        """Run a graph and return `{output name: value}` in JSON form.

        The first node that fails ends the run: running nodes are cancelled, and no more start.

        Raises:
            RunFailedError: The graph is invalid, or a node failed.
        """
        try:
            self._plan = Plan(graph, self._registry, params)
        except GraphError as error:
            raise self._not_runnable(graph, error) from error
        for node in self._plan.nodes.values():
            self._waiting[node.id] = len(node.incoming)
            self._unread[node.id] = len(node.outgoing)
        try:
            async with asyncio.TaskGroup() as self._group:
                for node in self._plan.roots():
                    self._start(node)
        except* RunFailedError:
            self._is_stopped = True
        if self._failure is not None:
            raise self._failure
        return await self._result()

    def mute(self) -> None:
        """Stop posting messages, when the lease is lost or released."""
        self._is_stopped = True
        self._reporter.mute()

    def _start(self, node: PlannedNode) -> None:
        self._group.create_task(self._run_chain(node), name=node.label)

    async def _run_chain(self, node: PlannedNode) -> None:
        """Run a node, and in the same task its successors while there is just one that is ready.

        A task costs more than a small node does. Other tasks get a turn after `_TURN_S`.
        """
        task = asyncio.current_task()
        following = await self._run_node(node)
        while following is not None:
            if task is not None and task.cancelling():
                # Perhaps cancelled by the node itself, which must not affect the next one.
                self._start(following)
                return
            now = time.monotonic()
            if now - self._turned_at >= _TURN_S:
                self._report_progress(now)
                await asyncio.sleep(0)
                self._turned_at = time.monotonic()
            following = await self._run_node(following)
        self._report_progress(time.monotonic())

    async def _run_node(self, planned: PlannedNode) -> PlannedNode | None:
        """Run a node; return the node that is ready now, if there is just one."""
        if self._is_stopped:  # another node failed in the meantime
            self._reporter.cancelled(planned)
            return None
        inputs = self._inputs(planned)
        if inputs is None:
            self._reporter.skipped(planned)
            return self._finish(planned, {})
        self._reporter.running(planned)
        for name in planned.unknown:
            self._reporter.not_used(planned, name)
        log = NodeLog(planned.id, self._reporter.line)
        NODE_LOG.set(log)
        try:
            try:
                work = self._process(planned, inputs)
                if planned.timeout_s is not None:
                    work = within(planned.timeout_s, work, planned.label, stop_s=self._node_stop_s)
                slots = await work
            finally:
                log.close()
            if planned.kind.is_output and slots:
                shown = await self._publish_output(planned, slots)
            else:
                shown = inline(slots)
                # Outside of a job, large values are not stored as files, since no client would
                # fetch them.
                if len(shown) < len(slots) and self._context.outbox is not None:
                    shown = await publish_rest(slots, shown, TempPublisher(self._context))
        except asyncio.CancelledError:
            if _is_cancelled_from_outside():
                self._reporter.cancelled(planned)
                raise
            error: Exception = RuntimeError("the node cancelled itself")
            raise self._failed(planned, error) from None
        except Exception as error:
            raise self._failed(planned, error) from error
        if log.is_used and self._context.outbox is not None:
            await self._context.outbox.join_lines(planned.id)
        self._reporter.completed(planned, shown)
        return self._finish(planned, slots)

    async def _process(self, planned: PlannedNode, inputs: dict[str, Any]) -> dict[str, Any]:
        kind = planned.kind
        node = planned.build(inputs)
        context = self._context_of(planned.id)
        if not (kind.is_streaming or node.cpu_bound):
            try:
                returned = await call_once(node, context)
            except (Exception, asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as error:
                raise as_error(error) from error
            return to_slots(kind, returned)
        streamed = StreamedSlots() if kind.is_streaming else None
        slots: dict[str, Any] = {}
        pieces_so_far = 0
        async for piece in pieces(node, context, memory_bytes=self._node_memory_bytes):
            slots = to_slots(kind, piece)
            if streamed is not None:
                pieces_so_far += 1
                streamed.add(slots)
                await self._report_piece(planned, slots, pieces_so_far)
                if self._context.outbox is not None:
                    await self._context.outbox.drain()
        return slots if streamed is None else streamed.joined()

    def _inputs(self, planned: PlannedNode) -> dict[str, Any] | None:
        """Return the values of a node's edges; None if the node is skipped for lack of values."""
        inputs = {}
        for edge in planned.incoming:
            slots = self._results[edge.source]
            if edge.sourceHandle in slots:
                inputs[edge.targetHandle] = slots[edge.sourceHandle]
        if len(inputs) < len(planned.incoming) and planned.is_skipped_with(inputs):
            return None
        return inputs

    async def _report_piece(self, planned: PlannedNode, slots: dict[str, Any], count: int) -> None:
        """Post a yielded value: strings as chunks, other values in JSON form."""
        publisher = TempPublisher(self._context)
        for name, value in slots.items():
            if isinstance(value, str):
                self._reporter.text(planned, value, count=count)
            else:
                self._reporter.output(planned, name, await publisher.publish(value))

    async def _publish_output(
        self, planned: PlannedNode, slots: dict[str, Any]
    ) -> dict[str, bytes]:
        """Store the value of an output node as a result of the job; return its JSON."""
        name = str(planned.output_name)
        context = self._context_of(planned.id)
        publisher = self._publishers[name] = AssetPublisher(context, name)
        value = slots[OUTPUT] if list(slots) == [OUTPUT] else slots
        sent = self._outputs[name] = await publisher.publish(value)
        self._reporter.output(planned, name, sent)
        return {OUTPUT: json_bytes(sent)}

    def _finish(self, planned: PlannedNode, slots: dict[str, Any]) -> PlannedNode | None:
        if self._is_stopped:
            return None
        self._done += 1
        if planned.outgoing:
            self._results[planned.id] = slots
        for edge in planned.incoming:
            self._release_if_read(edge.source)
        ready = []
        for edge in planned.outgoing:
            self._waiting[edge.target] -= 1
            if not self._waiting[edge.target]:
                ready.append(self._plan.nodes[edge.target])
        if len(ready) == 1:
            return ready[0]
        for node in ready:
            self._start(node)
        return None

    def _release_if_read(self, node_id: str) -> None:
        """Release a value when all successors have read it, to save memory."""
        self._unread[node_id] -= 1
        if not self._unread[node_id]:
            del self._results[node_id]

    def _report_progress(self, now: float) -> None:
        if now - self._progress_at >= _PROGRESS_EVERY_S:
            self._progress_at = now
            share = self._done / len(self._plan.nodes)
            self._reporter.post(JobUpdate(status="running", progress=share))

    async def _result(self) -> dict[str, Any]:
        try:
            return await fit_result(self._outputs, self._publishers)
        except UnsendableError as error:
            raise RunFailedError(JobError(code="invalid_result", message=str(error))) from error

    def _failed(self, planned: PlannedNode, error: Exception) -> RunFailedError:
        what = (
            str(error) if isinstance(error, GraphError) else f"{planned.label}: {_message(error)}"
        )
        trace = _traceback(error)
        self._reporter.failed(planned, error=_message(error), logs=trace)
        failure = RunFailedError(
            JobError(
                code=_code(error),
                message=shortened(what),
                node_id=planned.id,
                traceback=trace or None,
            )
        )
        self._failure = self._failure or failure
        self._is_stopped = True
        return failure

    def _not_runnable(self, graph: Graph, error: GraphError) -> RunFailedError:
        for node in graph.nodes:
            if node.id == error.node_id:
                self._reporter.post(
                    NodeUpdate(
                        node_id=node.id,
                        node_name=node.type,
                        node_type=node.type,
                        status="failed",
                        error=shortened(str(error)),
                    )
                )
        message = shortened(str(error))
        return RunFailedError(JobError(code="node_failed", message=message, node_id=error.node_id))


def _is_cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _code(error: Exception) -> Literal["invalid_result", "timeout", "node_failed"]:
    if isinstance(error, UnsendableError):
        return "invalid_result"
    return "timeout" if isinstance(error, NodeTimeoutError) else "node_failed"


def _message(error: Exception) -> str:
    if isinstance(error, NodeProcessError | NodeTimeoutError | GraphError | UnsendableError):
        return shortened(str(error))
    return summary(error)


def _traceback(error: Exception) -> str:
    return error.logs if isinstance(error, NodeProcessError) else short_traceback(error)
