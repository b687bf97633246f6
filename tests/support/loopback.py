"""HTTP server on loopback with prepared responses, which records its requests."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Asked:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """A response. `cut_after`: close the connection after this number of bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None


DROP = Answer(status=0)
"""Marker: close the connection without a response."""


def problem(status: int, code: str, **headers: str) -> Answer:
    """Return a response with problem details."""
    body = {"type": f"/problems/{code}", "title": "x", "status": status, "detail": f"it is {code}"}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status,
        json.dumps(body | {"code": code, "request_id": "req-1"}).encode(),
        {"Content-Type": "application/problem+json", **more},
    )


def reply(body: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


class Loopback:
    """The server; `answer` is called for each request, in a thread."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._lock = lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with lock:
                    server.connections += 1
                    server._open.add(self.connection)

            def finish(self) -> None:
                with lock:
                    server._open.discard(self.connection)
                super().finish()

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                asked = Asked(
                    self.command,
                    self.path,
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                )
                with lock:
                    server.asked.append(asked)
                said = answer(asked)
                if said is DROP:
                    self.close_connection = True
                    return
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(said.body)))
                self.end_headers()
                self.wfile.write(said.body[: said.cut_after])
                if said.cut_after is not None:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False  # server_close() joins the threads
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the other side has closed it already
                    connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    """Return a function that returns one response after the other, then the last one repeatedly."""
    left = list(answers)
    lock = threading.Lock()

    def answer(_asked: Asked) -> Answer:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer
