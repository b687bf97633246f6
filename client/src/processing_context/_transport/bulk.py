"""The byte path: uploads to and downloads from presigned URLs, `http.client` in threads of its own.

httpx moves bodies at a third of the speed of `http.client`, hence the second client.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException, HTTPResponse
from typing import TypeVar
from urllib.parse import urljoin

from processing_context._transport.connections import BLOCK, Connection, ConnectionPool, Target
from processing_context._transport.download import Download
from processing_context._transport.retry import RETRIED_STATUSES, Retry
from processing_context._transport.transfer import (
    Answered,
    ContentEnded,
    Incoming,
    Progress,
    Readable,
    Refused,
    Transfer,
)
from processing_context.errors import ConnectionFailedError, HTTPStatusError

_MAX_REDIRECTS = 5
_THREADS = 8
_DROPPED = (OSError, HTTPException)
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_RETRIED = RETRIED_STATUSES | {500}  # S3 asks to repeat its 500s
RUN_OUT = frozenset({401, 403, 404})
"""What storage says of a presigned URL that is no longer good."""

T = TypeVar("T")


class Bulk:
    """Moves bodies; one for a context and its copies.

    Args:
        timeout_s: To connect, and between two blocks.
        retries: How often a transfer is taken up again without having got any further.
        make_ssl_context: Called at the first https URL.
    """

    def __init__(
        self, *, timeout_s: float, retries: int, make_ssl_context: Callable[[], ssl.SSLContext]
    ) -> None:
        self._pool = ConnectionPool(timeout_s=timeout_s, make_ssl_context=make_ssl_context)
        self._retries = retries
        self._threads: ThreadPoolExecutor | None = None
        # Of their own, so that short calls do not wait behind long transfers.
        self._short_threads: ThreadPoolExecutor | None = None

    async def put(
        self,
        url: str,
        source: Readable,
        size: int,
        *,
        headers: dict[str, str],
        progress: Progress | None = None,
    ) -> str:
        """Upload `size` bytes of a seekable file, from its start; return the ETag.

        It is empty where the bytes were there already.

        Raises:
            HTTPStatusError: Storage refused. A 412 is not an error: the bytes are there already.
            ValueError: The file holds fewer bytes than `size`.
        """
        target = Target(url)
        etag = ""

        def attempt(transfer: Transfer) -> None:
            nonlocal etag
            etag = self._put_once(target, source, size, headers, transfer)

        try:
            await self._until_done(attempt, target, Retry(self._retries), progress)
        except Refused as refused:
            if refused.status != 412:
                raise refused.public() from None
        return etag

    async def get(
        self,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        renew: Callable[[], Awaitable[str]] | None = None,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> Download:
        """Download into a seekable file, in memory up to 16 MiB, else on disk.

        Args:
            url: Redirects are followed; `headers` go to the first origin only.
            headers: More headers.
            renew: Gives a fresh URL, once, for when a presigned one runs out on the way.
            sha256: Compared up to 16 MiB, and after every resumed download.
            progress: Called as bytes arrive.

        Raises:
            HTTPStatusError: The status is 400 or more, and it is not the service that says so.
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

    async def exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> Answered:
        """Send a request that may be repeated, and return what is answered, whatever it is.

        Raises:
            OSError, HTTPException: There is no answer.
        """
        target = Target(url)
        sent = headers if body is None else headers | {"Content-Length": str(len(body))}
        answered: Answered | None = None

        def send(connection: Connection) -> HTTPResponse:
            connection.begin(method, target, sent)
            if body:
                try:
                    connection.raw.send(body)
                except (BrokenPipeError, ConnectionResetError):
                    return connection.raw.getresponse()  # a refusal, before all was sent
            return connection.raw.getresponse()

        def attempt(transfer: Transfer) -> None:
            nonlocal answered
            connection, response = self._exchange(target, transfer, send)
            try:
                answered = Answered(response.status, response.headers, response.read())
                transfer.watch(None)
            except BaseException:
                connection.close()
                raise
            self._reuse(connection, response)

        if self._short_threads is None:
            self._short_threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="context-calls")
        await self._try(attempt, Transfer(), self._short_threads)
        if answered is None:
            raise HTTPException("no answer")
        return answered

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Run blocking file work in the threads of the byte path."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="context-bytes")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args))

    async def work(self, function: Callable[..., T], *args: object) -> T:
        """As `run`, but when cancelled wait for the end: a file is the caller's again."""
        running = asyncio.ensure_future(self.run(function, *args))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            running.exception()  # nobody wants what it says any more
            raise

    def close(self) -> None:
        """Close idle connections and let the threads end."""
        self._pool.close()
        for threads in (self._threads, self._short_threads):
            if threads is not None:
                threads.shutdown(wait=False)
        self._threads = self._short_threads = None

    async def fill(
        self,
        download: Incoming,
        url: str,
        headers: dict[str, str],
        progress: Progress | None,
    ) -> None:
        """Take in a body; after a dropped connection the rest of it.

        Raises:
            Refused: The status is 400 or more.
        """
        target = Target(url)
        retry = Retry(self._retries)

        def attempt(transfer: Transfer) -> None:
            before = download.done
            try:
                self._get_once(target, headers, download, transfer)
            finally:
                if download.done > before:
                    retry.succeeded()

        await self._until_done(attempt, target, retry, progress)

    async def _until_done(
        self,
        attempt: Callable[[Transfer], None],
        target: Target,
        retry: Retry,
        progress: Progress | None,
    ) -> None:
        while True:
            try:
                await self._try(attempt, Transfer(progress))
                return
            except ssl.SSLCertVerificationError as exc:
                raise ConnectionFailedError(f"{target.shown}: {exc}") from exc
            except _DROPPED as exc:
                if isinstance(exc, OSError) and exc.errno in _DISK:
                    raise
                delay = retry.next_delay_s()
                if delay is None:
                    said = str(exc) or type(exc).__name__
                    raise ConnectionFailedError(f"{target.shown}: {said}") from exc
            except Refused as refused:
                if refused.status not in _RETRIED:
                    raise
                delay = retry.next_delay_s(refused.headers.get("retry-after"))
                if delay is None:
                    raise
            await asyncio.sleep(delay)

    async def _try(
        self,
        attempt: Callable[[Transfer], None],
        transfer: Transfer,
        threads: ThreadPoolExecutor | None = None,
    ) -> None:
        """Run an attempt; when cancelled, end its thread first: the file is the caller's again."""
        running: asyncio.Future[None]
        if threads is None:
            running = asyncio.ensure_future(self.run(attempt, transfer))
        else:
            running = asyncio.get_running_loop().run_in_executor(threads, attempt, transfer)
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            transfer.stop()
            await asyncio.wait([running])
            running.exception()  # it was told to stop: what it says about that is of no interest
            raise
        if transfer.error is not None:
            running.exception()
            raise transfer.error
        running.result()

    def _put_once(
        self,
        target: Target,
        source: Readable,
        size: int,
        headers: dict[str, str],
        transfer: Transfer,
    ) -> str:
        def send(connection: Connection) -> HTTPResponse:
            source.seek(0)
            connection.begin("PUT", target, headers | {"Content-Length": str(size)})
            try:
                _send_body(connection, source, size, transfer)
            except (BrokenPipeError, ConnectionResetError):
                # A refusal can come before the whole body is sent, and then the door is shut.
                return connection.raw.getresponse()
            return connection.raw.getresponse()

        connection, response = self._exchange(target, transfer, send)
        self._finish(connection, response, target, transfer)
        return response.headers.get("ETag", "")

    def _get_once(
        self, target: Target, headers: dict[str, str], download: Incoming, transfer: Transfer
    ) -> None:
        first = target.origin
        for _ in range(_MAX_REDIRECTS + 1):
            kept = headers if target.origin == first else {}
            sent = kept | download.range_headers() | {"Accept-Encoding": "identity"}

            def send(
                connection: Connection, target: Target = target, sent: dict[str, str] = sent
            ) -> HTTPResponse:
                connection.begin("GET", target, sent)
                return connection.raw.getresponse()

            connection, response = self._exchange(target, transfer, send)
            if response.status in (200, 206):
                self._take_in(connection, response, download, transfer)
                return
            location = self._finish(connection, response, target, transfer)
            if location is None:
                raise HTTPStatusError(response.status, target.shown, "the answer holds no file")
            target = Target(urljoin(target.url, location))
        raise HTTPStatusError(response.status, target.shown, "too many redirects")

    def _take_in(
        self, connection: Connection, response: HTTPResponse, download: Incoming, transfer: Transfer
    ) -> None:
        try:
            download.begin(response)
            download.receive(response, transfer)
            transfer.watch(None)
        except BaseException:
            connection.close()
            raise
        self._reuse(connection, response)

    def _finish(
        self, connection: Connection, response: HTTPResponse, target: Target, transfer: Transfer
    ) -> str | None:
        """Read the end of an answer that is no file; return where it redirects to."""
        try:
            body = response.read(64 * 1024)
            transfer.watch(None)
        except BaseException:
            connection.close()
            raise
        self._reuse(connection, response)
        if response.status >= 400:
            headers = {name.lower(): value for name, value in response.getheaders()}
            raise Refused(response.status, target, headers, body)
        return response.headers.get("Location") if response.status >= 300 else None

    def _exchange(
        self, target: Target, transfer: Transfer, send: Callable[[Connection], HTTPResponse]
    ) -> tuple[Connection, HTTPResponse]:
        connection = self._pool.take(target.origin)
        try:
            return connection, _sent(connection, transfer, send)
        except _DROPPED:
            transfer.check()
            if not connection.is_reused:
                raise
        # The server had closed the idle connection meanwhile: that is no failure.
        connection = self._pool.make(target.origin)
        return connection, _sent(connection, transfer, send)

    def _reuse(self, connection: Connection, response: HTTPResponse) -> None:
        if response.isclosed() and not response.will_close:
            self._pool.give_back(connection)
        else:
            connection.close()


def _sent(
    connection: Connection, transfer: Transfer, send: Callable[[Connection], HTTPResponse]
) -> HTTPResponse:
    try:
        transfer.watch(connection)
        return send(connection)
    except BaseException:
        connection.close()
        raise


def _send_body(connection: Connection, source: Readable, size: int, transfer: Transfer) -> None:
    done = 0
    while done < size:
        block = source.read(min(BLOCK, size - done))
        if not block:
            raise ContentEnded(f"the content ended after {done} of {size} bytes")
        connection.raw.send(block)
        done += len(block)
        transfer.report(done, size)
