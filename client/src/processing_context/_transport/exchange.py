"""Single HTTP exchanges over pooled `http.client` connections, in the calling thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse
from urllib.parse import urljoin

from processing_context._transport.connections import BLOCK, Connection, ConnectionPool, Target
from processing_context._transport.transfer import (
    Answered,
    ContentEnded,
    Incoming,
    Readable,
    Refused,
    Transfer,
)
from processing_context.errors import HTTPStatusError

DROPPED = (OSError, HTTPException)
"""Errors of a connection that ended before a complete response."""

_REFUSING = (BrokenPipeError, ConnectionResetError)
"""Errors of sending a body to a server that refused the request by its headers: its response can
be read.
"""

_MAX_REDIRECTS = 5
_MAX_ERROR_BYTES = 64 * 1024

Send = Callable[[Connection], HTTPResponse]


class Exchanges:
    """HTTP exchanges on a shared pool of connections; thread-safe.

    Args:
        pool: The connections.
        timeout_s: Limit to connect, and of each socket operation.
    """

    def __init__(self, pool: ConnectionPool, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s

    def call(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes | None,
        transfer: Transfer,
        timeout_s: float,
    ) -> Answered:
        """Return the response to a short request, whatever its status.

        The request is sent twice if a reused connection turns out to be closed.

        Raises:
            OSError, HTTPException: There was no response.
        """
        sent = {"Accept-Encoding": "identity", **headers}
        if body is not None:
            sent["Content-Length"] = str(len(body))

        def send(connection: Connection) -> HTTPResponse:
            connection.begin(method, target, sent)
            if body:
                with contextlib.suppress(*_REFUSING):
                    connection.raw.send(body)
            return connection.raw.getresponse()

        connection, response = self._begin(target, transfer, send, timeout_s)
        try:
            answered = Answered(response.status, response.headers, response.read())
            transfer.watch(None)
        except BaseException:
            connection.close()
            raise
        self._release(connection, response)
        return answered

    def put(
        self,
        target: Target,
        source: Readable,
        size: int,
        headers: Mapping[str, str],
        transfer: Transfer,
    ) -> str:
        """Upload `size` bytes from the start of a file; return the ETag.

        Raises:
            Refused: The status is 400 or more.
        """
        sent = {**headers, "Content-Length": str(size)}

        def send(connection: Connection) -> HTTPResponse:
            source.seek(0)
            connection.begin("PUT", target, sent)
            with contextlib.suppress(*_REFUSING):
                _send_body(connection, source, size, transfer)
            return connection.raw.getresponse()

        connection, response = self._begin(target, transfer, send)
        self._finish(connection, response, target, transfer)
        return response.headers.get("ETag", "")

    def get(
        self, target: Target, headers: Mapping[str, str], download: Incoming, transfer: Transfer
    ) -> None:
        """Download into a sink; redirects are followed, with `headers` for the first origin only.

        Raises:
            Refused: The status is 400 or more.
            HTTPStatusError: There were too many redirects, or a response without a file.
        """
        first = target.origin
        for _ in range(_MAX_REDIRECTS + 1):
            kept = headers if target.origin == first else {}
            sent = {**kept, **download.range_headers(), "Accept-Encoding": "identity"}
            connection, response = self._begin(target, transfer, _sender("GET", target, sent))
            if response.status in (200, 206):
                self._receive(connection, response, download, transfer)
                return
            location = self._finish(connection, response, target, transfer)
            if location is None:
                raise HTTPStatusError(
                    response.status, target.shown, "the response contains no file"
                )
            target = Target(urljoin(target.url, location))
        raise HTTPStatusError(response.status, target.shown, "too many redirects")

    def _begin(
        self, target: Target, transfer: Transfer, send: Send, timeout_s: float | None = None
    ) -> tuple[Connection, HTTPResponse]:
        """Send a request; return its connection and the response, whose body is not read."""
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        connection = self._pool.take(target.origin)
        try:
            return connection, _sent(connection, transfer, send, timeout_s)
        except DROPPED as exc:
            transfer.check()
            if not connection.is_reused or isinstance(exc, TimeoutError):
                raise
        # The server closed the idle connection at the same moment: repeat on a new one.
        connection = self._pool.make(target.origin)
        return connection, _sent(connection, transfer, send, timeout_s)

    def _receive(
        self, connection: Connection, response: HTTPResponse, download: Incoming, transfer: Transfer
    ) -> None:
        try:
            download.begin(response)
            download.receive(response, transfer)
            transfer.watch(None)
        except BaseException:
            connection.close()
            raise
        self._release(connection, response)

    def _finish(
        self, connection: Connection, response: HTTPResponse, target: Target, transfer: Transfer
    ) -> str | None:
        """Read the rest of a response without a file; return the location that it redirects to."""
        try:
            body = response.read(_MAX_ERROR_BYTES)
            transfer.watch(None)
        except BaseException:
            connection.close()
            raise
        self._release(connection, response)
        if response.status >= 400:
            headers = {name.lower(): value for name, value in response.getheaders()}
            raise Refused(response.status, target, headers, body)
        return response.headers.get("Location") if response.status >= 300 else None

    def _release(self, connection: Connection, response: HTTPResponse) -> None:
        if response.isclosed() and not response.will_close:
            self._pool.give_back(connection)
        else:
            connection.close()


def _sender(method: str, target: Target, headers: Mapping[str, str]) -> Send:
    def send(connection: Connection) -> HTTPResponse:
        connection.begin(method, target, headers)
        return connection.raw.getresponse()

    return send


def _sent(connection: Connection, transfer: Transfer, send: Send, timeout_s: float) -> HTTPResponse:
    try:
        transfer.watch(connection)
        connection.connect(timeout_s)
        transfer.check()  # `stop` cannot interrupt a connection that is being opened
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
