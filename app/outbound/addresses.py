"""Which addresses and hosts the service may connect to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Self

from app.outbound.errors import UrlNotAllowed

Address = IPv4Address | IPv6Address

_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
# The last label of a name is never a number (RFC 1123); resolvers take `127.1`, `0x7f.1`,
# `2130706433` and `0177.0.0.1` for addresses.
_NUMERIC = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)")

# What `is_global` of Python 3.11 lets pass, though nobody's public server is there.
_REFUSED_V4 = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    # The metadata service of Azure.
    IPv4Network("168.63.129.16/32"),
)
_UNICAST_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = (
    # Teredo, ORCHID and other protocols' own; documentation.
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet; one that carries another counts as that."""
    if isinstance(address, IPv4Address):
        return (
            address.is_global
            and not address.is_multicast
            and not address.is_reserved
            and not any(address in network for network in _REFUSED_V4)
        )
    carried = address.ipv4_mapped or address.sixtofour
    if carried is None and address in _NAT64:
        carried = IPv4Address(int(address) & 0xFFFF_FFFF)
    if carried is not None:
        return is_public(carried)
    return (
        address in _UNICAST_V6
        and address.is_global
        and not any(address in network for network in _REFUSED_V6)
    )


def check_host(host: str) -> None:
    """Hold that a host is a name, or an address in its usual form.

    Raises:
        UrlNotAllowed: It is something else that a resolver might understand.
    """
    if parsed(host) is not None:
        return
    if _NUMERIC.fullmatch(host):
        raise UrlNotAllowed("Write an IPv4 address as four decimal numbers.")
    if not _HOST.fullmatch(host):
        raise UrlNotAllowed("The URL's host is neither a name nor an address.")


def parsed(host: str) -> Address | None:
    """Return the address that a host is, if it is one and has no zone."""
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


class Allowed:
    """Where the service may connect to: public addresses, and what its operator lists."""

    def __init__(
        self, networks: Iterable[IPv4Network | IPv6Network] = (), hosts: Iterable[str] = ()
    ) -> None:
        self._networks = tuple(networks)
        self._hosts = frozenset(hosts)

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Return what a list of CIDRs, addresses and host names allows.

        Raises:
            ValueError: An entry is none of these.
        """
        networks: list[IPv4Network | IPv6Network] = []
        hosts: list[str] = []
        for entry in entries:
            name = entry.strip().strip("[]").rstrip(".").lower()
            try:
                networks.append(ip_network(name))
            except ValueError as exc:
                if _NUMERIC.fullmatch(name) or not _HOST.fullmatch(name):
                    raise ValueError(f"{entry!r} is no CIDR, no address and no host name") from exc
                hosts.append(name)
        return cls(networks, hosts)

    def check(self, host: str, addresses: Iterable[Address]) -> None:
        """Hold that all addresses of a host may be connected to.

        Raises:
            UrlNotAllowed: One may not.
        """
        if host in self._hosts:
            return
        for address in addresses:
            if not is_public(address) and not self._lists(address):
                # The address itself is not told: names inside the network could be looked up.
                raise UrlNotAllowed(f"{host} is not a public address, or leads to one that is not.")

    def _lists(self, address: Address) -> bool:
        carried = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((carried or address) in network for network in self._networks)
