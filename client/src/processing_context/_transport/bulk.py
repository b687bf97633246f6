"""HTTP on `http.client` connections in threads: file bodies, and short calls that are frequent.

httpx2 transfers bodies at a third of the speed of `http.client`, and a short call takes six times
the CPU.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from processing_context._transport.connections import ConnectionPool, Target
from processing_context._transport.download import Download
from processing_context._transport.exchange import DROPPED, Exchanges
from processing_context._transport.retry import STORAGE_STATUSES, Retry, Retryable
from processing_context._transport.transfer import (
    Answered,
    Incoming,
    Progress,
    Readable,
    Refused,
    Transfer,
)
from processing_context.errors import ConnectionFailedError, ContextError

_TRANSFERS_AT_ONCE = 8
_SHORT_AT_ONCE = 16
_SMALL_FILE_S = 10.0
"""Time limit of a small file, after which it is downloaded with retries."""

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
RUN_OUT = frozenset({401, 403, 404})
"""Statuses of storage for a presigned URL that has expired."""

T = TypeVar("T")


class Bulk:
    """Connections and threads for bodies and short calls, shared by a context and its copies.

    Transfers, small files and calls have separate threads, so that they do not wait for each other.

    Args:
        timeout_s: Limit to connect, and between two blocks.
        retries: How often a transfer that makes no progress is repeated.
        make_ssl_context: Called for the first https URL.
    """

    def __init__(
        self, *, timeout_s: float, retries: int, make_ssl_context: Callable[[], ssl.SSLContext]
    ) -> None:
        self._timeout_s = timeout_s
        self._retries = retries
        self._pool = ConnectionPool(make_ssl_context)
        self._exchanges = Exchanges(self._pool, timeout_s)
        self._transfers = ThreadPoolExecutor(_TRANSFERS_AT_ONCE, "context-transfers")
        self._small_files = ThreadPoolExecutor(_SHORT_AT_ONCE, "context-small-files")
        self._calls = ThreadPoolExecutor(_SHORT_AT_ONCE, "context-calls")
        self._is_closed = False

    async def put(
        self,
        url: str,
        source: Readable,
        size: int,
        *,
        headers: Mapping[str, str],
        progress: Progress | None = None,
    ) -> str:
        """Upload `size` bytes of a seekable file, from its start; return the ETag.

        The ETag is empty if the bytes were stored before.

        Raises:
            HTTPStatusError: Storage refused the upload. A 412 is no error: the bytes are stored
                already.
            ValueError: The file has fewer bytes than `size`.
        """
        target = Target(url)
        etag = ""

        def attempt(transfer: Transfer) -> None:
            nonlocal etag
            etag = self._exchanges.put(target, source, size, headers, transfer)

        try:
            await self._repeat(attempt, target, Retry(self._retries), progress)
        except Refused as refused:
            if refused.status != 412:
                raise refused.public() from None
        return etag

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        renew: Callable[[], Awaitable[str]] | None = None,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> Download:
        """Download into a seekable file, in memory up to 16 MiB, else on disk.

        Args:
            url: Redirects are followed; `headers` are sent to the first origin only.
            headers: Additional headers.
            renew: Returns a new URL if a presigned one expires during the download; called once.
            sha256: Expected hash; verified up to 16 MiB, and after every resumed download.
            progress: Called as bytes arrive.

        Raises:
            HTTPStatusError: A server other than the service answered with a status of 400 or more.
            ContextError: The SHA-256 differs.
        """
        download = Download()
        try:
            try:
                await self.fill(download, url, headers or {}, progress)
            except Refused as refused:
                if renew is None or refused.status not in RUN_OUT:
                    raise
                await self.fill(download, await renew(), {}, progress)
            await self.run(download.check, sha256)
        except Refused as refused:
            download.file.close()
            raise refused.public() from None
        except BaseException:
            download.file.close()
            raise
        download.file.seek(0)
        return download

    async def fill(
        self,
        download: Incoming,
        url: str,
        headers: Mapping[str, str],
        progress: Progress | None,
    ) -> None:
        """Download into a sink; after a dropped connection, resume.

        Raises:
            Refused: The status is 400 or more.
        """
        target = Target(url)
        retry = Retry(self._retries)

        def attempt(transfer: Transfer) -> None:
            before = download.done
            try:
                self._exchanges.get(target, headers, download, transfer)
            finally:
                if download.done > before:
                    retry.succeeded()

        await self._repeat(attempt, target, retry, progress)

    async def read(self, url: str, size: int) -> bytes | None:
        """Return a small file of known size; None if the first attempt fails."""
        target = Target(url)
        limit_s = min(self._timeout_s, _SMALL_FILE_S)
        try:
            answered = await self._call(self._small_files, "GET", target, {}, None, limit_s)
        except DROPPED:
            return None
        is_whole = answered.status == 200 and len(answered.body) == size
        return answered.body if is_whole and not _is_encoded(answered) else None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float,
    ) -> Answered:
        """Return the response to a short request, whatever its status.

        The request is not retried, but it is sent twice if the server closes a kept connection.

        Args:
            method: The HTTP method.
            url: The URL.
            headers: Additional headers.
            content: The body.
            timeout: Limit to connect, and between two blocks.

        Raises:
            OSError, HTTPException: There was no response.
        """
        return await self._call(self._calls, method, Target(url), headers, content, timeout)

    def request_here(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes, timeout: float
    ) -> Answered:
        """Send a request as `request` does, in the calling thread."""
        target = Target(url)
        return self._exchanges.call(method, target, headers, content, Transfer(), timeout)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Run blocking file work in one of the transfer threads."""
        return await self._in_thread(self._transfers, function, *args)

    async def work(self, function: Callable[..., T], *args: object) -> T:
        """Run a function as `run` does; when cancelled, wait until its thread has ended."""
        running = self._in_thread(self._transfers, function, *args)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            running.exception()  # marks it as retrieved
            raise

    def close(self) -> None:
        """Close the idle connections and let the threads end; later calls raise `ContextError`."""
        self._is_closed = True
        self._pool.close()
        for threads in (self._transfers, self._small_files, self._calls):
            threads.shutdown(wait=False)

    def _in_thread(
        self, threads: ThreadPoolExecutor, function: Callable[..., T], *args: object
    ) -> asyncio.Future[T]:
        if self._is_closed:
            raise ContextError("the context is closed: create a new ProcessingContext")
        return asyncio.get_running_loop().run_in_executor(threads, function, *args)

    async def _call(
        self,
        threads: ThreadPoolExecutor,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout_s: float,
    ) -> Answered:
        """Run a call in a thread; when cancelled, interrupt the thread without waiting for it."""
        transfer = Transfer()
        args = (method, target, headers, content, transfer, timeout_s)
        try:
            return await self._in_thread(threads, self._exchanges.call, *args)
        except asyncio.CancelledError:
            transfer.stop()
            raise

    async def _repeat(
        self,
        attempt: Callable[[Transfer], None],
        target: Target,
        retry: Retry,
        progress: Progress | None,
    ) -> None:
        async def once() -> None:
            try:
                await self._transfer(attempt, Transfer(progress))
            except Refused as refused:
                if refused.status not in STORAGE_STATUSES:
                    raise
                raise Retryable(refused, refused.headers.get("retry-after")) from None
            except DROPPED as exc:
                if isinstance(exc, OSError) and exc.errno in _DISK:
                    raise
                error = ConnectionFailedError(f"{target.shown}: {str(exc) or type(exc).__name__}")
                error.__cause__ = exc
                is_final = isinstance(exc, ssl.SSLCertVerificationError)
                raise error if is_final else Retryable(error) from exc

        await retry.call(once)

    async def _transfer(self, attempt: Callable[[Transfer], None], transfer: Transfer) -> None:
        """Run an attempt; when cancelled, end its thread first, since it uses the caller's file."""
        running = self._in_thread(self._transfers, attempt, transfer)
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            transfer.stop()
            await asyncio.wait([running])
            running.exception()  # marks it as retrieved
            raise
        if transfer.error is not None:
            running.exception()
            raise transfer.error
        running.result()


def _is_encoded(answered: Answered) -> bool:
    return answered.headers.get("Content-Encoding") is not None
