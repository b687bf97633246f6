"""TCP proxy between client and service that drops connections and changes its target."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self
from urllib.parse import urlsplit

from tests.support.services import WAIT_S


class Network:
    """TCP proxy to `target`; `cut()` drops all connections, `is_down` refuses new ones.

    `swallow`: the response to the first request with these bytes is dropped, with its connection.
    `spoil`: in the first block that consists of this byte only, one byte is replaced.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.is_down = False
        self.accepted = 0
        self.swallow: bytes | None = None
        self.spoil: bytes | None = None
        self._swallowing: socket.socket | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept)
        self._pumps: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self.cut()
        for thread in self._pumps:
            thread.join()

    def cut(self) -> None:
        """Drop all connections."""
        with self._lock:
            for end in self._open:
                _shut(end)

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            parts = urlsplit(self.target)
            try:
                if self.is_down:
                    raise ConnectionError
                there = socket.create_connection((parts.hostname, parts.port), WAIT_S)
                there.settimeout(None)
            except OSError:
                here.close()
                continue
            with self._lock:
                self._open |= {here, there}
            for pair in ((here, there), (there, here)):
                thread = threading.Thread(target=self._pump, args=pair)
                self._pumps.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                if source is self._swallowing:
                    break  # the service has handled the request: only the response is lost
                if self.swallow and self.swallow in block:
                    self.swallow, self._swallowing = None, sink
                if self.spoil and not block.strip(self.spoil):
                    self.spoil, block = None, b"!" + block[1:]
                sink.sendall(block)
        _shut(source)
        _shut(sink)
        with self._lock:
            self._open -= {source, sink}
        source.close()


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
