"""Limits on the open connections of a replica, in total and per client address."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.runtime.metrics import CONNECTIONS, CONNECTIONS_REFUSED

logger = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_REFUSED = 64
"""Refused connections that may wait for their request, to be answered with 503; more are closed."""

MAX_UNPARSED_BYTES = 64 * 1024 * 1024
"""Size of all incomplete request heads together."""

_LOG_PAUSE_S = 60


@dataclass(slots=True)
class Slot:
    """The place of one connection in the counts.

    `holder` is the address whose count includes the connection. A connection of a trusted proxy
    has a holder, the client, only while a request is served.
    """

    is_proxied: bool = False
    is_refused: bool = False
    is_open: bool = True
    holder: str | None = None


class ConnectionLimits:
    """Counts of the open connections. One address may hold at most half of all.

    An IPv6 address counts with its /64 network, which usually belongs to one host.

    Args:
        total: The number of connections at once.
        trusted_proxies: Networks of proxies. The last address in `X-Forwarded-For` that is not a
            trusted proxy counts instead of theirs.
    """

    def __init__(self, total: int, trusted_proxies: Iterable[str] = ()) -> None:
        self._total = total
        self._per_address = max(1, total // 2)
        self._trusted: Sequence[Network] = [ipaddress.ip_network(each) for each in trusted_proxies]
        self._open = 0
        self._refused = 0
        self._by_holder: dict[str, int] = {}
        self._logged_at = -float(_LOG_PAUSE_S)
        self.unparsed_bytes = 0

    def open(self, peer: str | None) -> Slot | None:
        """Count a new connection; return None for one that has to be closed without a reply."""
        address = _parsed(peer or "")
        slot = Slot(is_proxied=self._is_trusted(address))
        holder = None if slot.is_proxied or address is None else _key(address)
        if self._open < self._total and self._hold(slot, holder):
            self._open += 1
            CONNECTIONS.inc()
            return slot
        self._log_refusal(peer)
        if self._refused >= MAX_REFUSED:
            return None
        self._refused += 1
        slot.is_refused = True
        return slot

    def assign(self, slot: Slot, forwarded_for: str) -> bool:
        """Count a proxied connection for the client of a request; False if it has too many."""
        self.unassign(slot)
        client = self._client(forwarded_for)
        if self._hold(slot, client):
            return True
        self._log_refusal(client)
        return False

    def unassign(self, slot: Slot) -> None:
        """Stop counting a connection for its client."""
        holder, slot.holder = slot.holder, None
        if holder is not None:
            self._by_holder[holder] -= 1
            if not self._by_holder[holder]:
                del self._by_holder[holder]

    def close(self, slot: Slot) -> None:
        """Stop counting a connection; repeated calls have no effect."""
        if not slot.is_open:
            return
        slot.is_open = False
        self.unassign(slot)
        if slot.is_refused:
            self._refused -= 1
        else:
            self._open -= 1
            CONNECTIONS.dec()

    def _hold(self, slot: Slot, holder: str | None) -> bool:
        if holder is None:
            return True
        held = self._by_holder.get(holder, 0)
        if held >= self._per_address:
            return False
        self._by_holder[holder] = held + 1
        slot.holder = holder
        return True

    def _client(self, forwarded_for: str) -> str | None:
        """Return the key of the client that the nearest proxies report, or None."""
        rest = forwarded_for
        while rest:
            rest, _, entry = rest.rpartition(",")
            address = _parsed(_without_port(entry.strip()))
            if address is None or not self._is_trusted(address):
                return None if address is None else _key(address)
        return None

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)

    def _log_refusal(self, address: str | None) -> None:
        CONNECTIONS_REFUSED.inc()
        if time.monotonic() - self._logged_at >= _LOG_PAUSE_S:
            self._logged_at = time.monotonic()
            logger.warning(
                "refusing connections, now one of %s: %d of %d are open, and one address may hold "
                "%d (CONTEXT_MAX_CONNECTIONS, CONTEXT_TRUSTED_PROXIES)",
                *(address, self._open, self._total, self._per_address),
            )


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Address | None:
    """Return an address, an IPv4 address instead of one that is mapped to IPv6; or None."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _key(address: Address) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        return f"{int(address) >> 64:x}/64"
    return str(address)


def _without_port(entry: str) -> str:
    """Return the address of an entry such as `192.0.2.1:80` or `[2001:db8::1]:80`."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
