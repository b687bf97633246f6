"""Connections to addresses that were checked: nothing is resolved between check and use."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore

from app.core.fetching.addresses import Allowed, parsed
from app.core.fetching.errors import UrlUnreachable

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, best first."""

CONNECT_S = 10.0


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses that the system knows of a host, best first.

    Raises:
        OSError: It knows none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a host, checks every address, and connects to one of those.

    The pool above sees the host only, so that SNI and certificate are those of the name.
    """

    def __init__(self, allowed: Allowed, resolver: Resolver) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection to the first address that answers.

        Raises:
            UrlNotAllowed: One of the addresses is not allowed.
            UrlUnreachable: The name has no address.
            httpcore.ConnectError: None answers.
        """
        addresses = await self._addresses(host, port)
        failure: Exception = httpcore.ConnectError("there is no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            names = await self._resolver(host, port)
        except (OSError, UnicodeError):
            raise UrlUnreachable(f"There is no address of {host}.") from None
        addresses = [address for name in names if (address := parsed(name.partition("%")[0]))]
        if not addresses:
            raise UrlUnreachable(f"There is no address of {host}.")
        self._allowed.check(host, addresses)
        return list(dict.fromkeys(str(address) for address in addresses))
