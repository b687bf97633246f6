"""HTTP server on loopback that sends prepared bytes, valid or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Trickster:
    """HTTP server with a prepared response for each path, and a resolver of host names."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    names: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)

    def url(self, path: str = "/", host: str = "files.example", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def resolve(self, host: str, _port: int) -> Sequence[str]:
        """Return the next of the addresses prepared for a host, which may differ each time."""
        self.looked_up.append(host)
        answers = self.names.get(host) or [[host]]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            answer = self.answers.get(head.split(" ")[1], reply(b"hello"))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


def reply(body: bytes = b"", status: int = 200, /, **headers: str) -> bytes:
    """Return a response; `_` in the name of a header stands for `-`."""
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    return reply(b"", status, Location=location)


@asynccontextmanager
async def listening() -> AsyncIterator[Trickster]:
    """Run the server until the block ends."""
    trickster = Trickster()
    server = await asyncio.start_server(trickster.serve, "127.0.0.1", 0)
    trickster.port = server.sockets[0].getsockname()[1]
    async with server:
        yield trickster
