"""Connections to addresses that were checked: nothing is resolved between check and use."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpcore2

from app.outbound.addresses import Allowed, parsed
from app.outbound.errors import UrlUnreachable

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, best first."""

CONNECT_S = 10.0

# Not the loop's own: uvloop has two threads for look-ups, and a name server that does not answer
# would hold up everybody's.
_LOOK_UPS = ThreadPoolExecutor(32, "look-up")


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses that the system knows of a host, best first.

    Raises:
        OSError: It knows none.
    """
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_LOOK_UPS, look_up)
    return [str(entry[4][0]) for entry in found]


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves a host, checks every address, and connects to one of those.

    The pool above sees the host only, so that SNI and certificate are those of the name.
    """

    def __init__(self, allowed: Allowed, resolver: Resolver) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Return a connection to the first address that answers.

        Raises:
            UrlNotAllowed: One of the addresses is not allowed.
            UrlUnreachable: The name has no address.
            httpcore2.ConnectError: None answers.
        """
        addresses = await self.addresses(host, port)
        failure: Exception = httpcore2.ConnectError("there is no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                failure = exc
        raise failure

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, all of them checked.

        Raises:
            UrlNotAllowed: One of the addresses is not allowed.
            UrlUnreachable: The name has no address.
        """
        try:
            names = await self._resolver(host, port)
        except (OSError, UnicodeError):
            raise UrlUnreachable(f"There is no address of {host}.") from None
        addresses = [address for name in names if (address := parsed(name.partition("%")[0]))]
        if not addresses:
            raise UrlUnreachable(f"There is no address of {host}.")
        self._allowed.check(host, addresses)
        return list(dict.fromkeys(str(address) for address in addresses))
