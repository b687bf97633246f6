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
from typing import IO, TypeVar
from urllib.parse import urljoin

from processing_context._connections import BLOCK, Connection, ConnectionPool, Target
from processing_context._download import Download
from processing_context._retry import RETRIED_STATUSES, Retry
from processing_context._transfer import Progress, Refused, Transfer
from processing_context.errors import ConnectionFailedError, HTTPStatusError

_MAX_REDIRECTS = 5
_THREADS = 8
_DROPPED = (OSError, HTTPException)
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_RETRIED = RETRIED_STATUSES | {500}  # S3 asks to repeat its 500s
T = TypeVar("T")


class Bytes:
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

    async def put(
        self,
        url: str,
        source: IO[bytes],
        size: int,
        *,
        headers: dict[str, str],
        progress: Progress | None = None,
    ) -> None:
        """Upload `size` bytes of a seekable file, from its start.

        Raises:
            HTTPStatusError: Storage refused. A 412 is not an error: the bytes are there already.
            ValueError: The file holds fewer bytes than `size`.
        """
        target = Target(url)

        def attempt(transfer: Transfer) -> None:
            self._put_once(target, source, size, headers, transfer)

        try:
            await self._until_done(attempt, target, Retry(self._retries), progress)
        except Refused as refused:
            if refused.status != 412:
                raise refused.public() from None

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
                await self._fill(download, Target(url), headers or {}, progress)
            except Refused as refused:
                if renew is None or refused.status not in (401, 403, 404):
                    raise
                await self._fill(download, Target(await renew()), {}, progress)
            await self.run(download.check, sha256)
        except Refused as refused:
            download.file.close()
            raise refused.public() from None
        except BaseException:
            download.file.close()
            raise
        download.file.seek(0)
        return download

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Run blocking file work in the threads of the byte path."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="context-bytes")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args))

    def close(self) -> None:
        """Close idle connections and let the threads end."""
        self._pool.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None

    async def _fill(
        self,
        download: Download,
        target: Target,
        headers: dict[str, str],
        progress: Progress | None,
    ) -> None:
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

    async def _try(self, attempt: Callable[[Transfer], None], transfer: Transfer) -> None:
        """Run an attempt; when cancelled, end its thread first: the file is the caller's again."""
        running = asyncio.ensure_future(self.run(attempt, transfer))
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
        source: IO[bytes],
        size: int,
        headers: dict[str, str],
        transfer: Transfer,
    ) -> None:
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

    def _get_once(
        self, target: Target, headers: dict[str, str], download: Download, transfer: Transfer
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
        self, connection: Connection, response: HTTPResponse, download: Download, transfer: Transfer
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


def _send_body(connection: Connection, source: IO[bytes], size: int, transfer: Transfer) -> None:
    done = 0
    while done < size:
        block = source.read(min(BLOCK, size - done))
        if not block:
            raise ValueError(f"the content ended after {done} of {size} bytes")
        connection.raw.send(block)
        done += len(block)
        transfer.report(done, size)
