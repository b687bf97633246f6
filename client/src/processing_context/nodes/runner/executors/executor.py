"""Calls of nodes: on the event loop, in a thread, or in a process."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from processing_context.nodes.base import BaseNode
from processing_context.nodes.runner.executors.process import pieces_from_process

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


async def pieces(
    node: BaseNode, context: ProcessingContext, *, memory_bytes: int | None = None
) -> AsyncGenerator[Any]:
    """Yield the values of a node: the one that it returns, or each that it yields.

    Args:
        node: The node.
        context: Argument of `process`.
        memory_bytes: Memory limit of a node that runs in its own process.
    """
    source = (
        pieces_from_process(node, context, memory_bytes=memory_bytes)
        if node.cpu_bound
        else pieces_here(node, context)
    )
    async with contextlib.aclosing(source):
        async for piece in source:
            yield piece


async def pieces_here(node: BaseNode, context: ProcessingContext) -> AsyncGenerator[Any]:
    """Yield the values of a node that runs in this process."""
    try:
        if not node.is_streaming():
            yield await call_once(node, context)
            return
        async with contextlib.aclosing(node.process(context)) as stream:
            async for piece in stream:
                yield piece
    except (Exception, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        raise as_error(error) from error


def call_once(node: BaseNode, context: ProcessingContext) -> Awaitable[Any]:
    """Return an awaitable of the result of a node that does not stream, run in this process.

    Raises:
        BaseException: Any error of the node; see `as_error`.
    """
    if _is_async(type(node)):
        given: Awaitable[Any] = node.process(context)
        return given
    return in_thread(node.process, context)


def as_error(error: BaseException) -> RuntimeError:
    """Return an error in place of a `BaseException` of a node, which would end the worker."""
    if isinstance(error, SystemExit):
        return RuntimeError(f"the node called sys.exit({error.code!r})")
    return RuntimeError(f"the node raised {error!r}")


@functools.cache  # inspection costs as much as running a small node
def _is_async(node_class: type[BaseNode]) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(node_class.process))


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Return the result of a function that may block for any time.

    Each call has a daemon thread of its own: one that never ends blocks neither other calls nor the
    exit of the worker.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    call = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = call.run(function, *args)
        except StopIteration as stop:
            error = RuntimeError(f"the node raised {stop!r}")
        except BaseException as raised:  # any error belongs to the caller
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: the result has no receiver
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="node", daemon=True).start()
    return await future
