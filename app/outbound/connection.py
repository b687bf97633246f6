"""Connections to checked addresses; names are not resolved again between check and use."""

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
"""Function that returns the addresses of a host, the preferred one first."""

CONNECT_S = 10.0

# Not the executor of the loop: uvloop has two threads for look-ups, so that a name server that does
# not respond would delay all other requests.
_LOOK_UPS = ThreadPoolExecutor(32, "look-up")


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host by the system's resolver, the preferred one first.

    Raises:
        OSError: The host cannot be resolved.
    """
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_LOOK_UPS, look_up)
    return [str(entry[4][0]) for entry in found]


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Network backend that resolves a host, checks all its addresses, and connects to one of them.

    The connection pool uses the host name, so that SNI and the certificate check use it too.
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
        """Return a connection to the first address that accepts it.

        Raises:
            UrlNotAllowed: An address of the host is not allowed.
            UrlUnreachable: The host has no address.
            httpcore2.ConnectError: No address accepts the connection.
        """
        addresses = await self.addresses(host, port)
        failure: Exception = httpcore2.ConnectError("the host has no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                failure = exc
        raise failure

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host after checking all of them.

        Raises:
            UrlNotAllowed: An address of the host is not allowed.
            UrlUnreachable: The host has no address.
        """
        try:
            names = await self._resolver(host, port)
        except (OSError, UnicodeError):
            raise UrlUnreachable(f"The host {host} cannot be resolved to an address.") from None
        addresses = [address for name in names if (address := parsed(name.partition("%")[0]))]
        if not addresses:
            raise UrlUnreachable(f"The host {host} cannot be resolved to an address.")
        self._allowed.check(host, addresses)
        return list(dict.fromkeys(str(address) for address in addresses))
