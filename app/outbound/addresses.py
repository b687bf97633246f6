"""Checks of the addresses and hosts that the service may connect to."""

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
# The last label of a host name is never a number (RFC 1123). Resolvers interpret `127.1`, `0x7f.1`,
# `2130706433` and `0177.0.0.1` as addresses.
_NUMERIC = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)")

# Networks without public servers that `is_global` of Python 3.11 accepts.
_REFUSED_V4 = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    # The metadata service of Azure.
    IPv4Network("168.63.129.16/32"),
)
_UNICAST_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = (
    # Teredo, ORCHID and other protocols; documentation.
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Return True for addresses of the public internet.

    An IPv6 address that embeds an IPv4 address is judged by the embedded one.
    """
    if isinstance(address, IPv4Address):
        return (
            address.is_global
            and not address.is_multicast
            and not address.is_reserved
            and not any(address in network for network in _REFUSED_V4)
        )
    embedded = address.ipv4_mapped or address.sixtofour
    if embedded is None and address in _NAT64:
        embedded = IPv4Address(int(address) & 0xFFFF_FFFF)
    if embedded is not None:
        return is_public(embedded)
    return (
        address in _UNICAST_V6
        and address.is_global
        and not any(address in network for network in _REFUSED_V6)
    )


def check_host(host: str) -> None:
    """Check that a host is a name, or an address in its canonical form.

    Raises:
        UrlNotAllowed: The host has another form, which a resolver might accept.
    """
    if parsed(host) is not None:
        return
    if _NUMERIC.fullmatch(host):
        raise UrlNotAllowed(
            f"The host {host} of the URL is ambiguous: write an IPv4 address as four decimal "
            "numbers."
        )
    if not _HOST.fullmatch(host):
        raise UrlNotAllowed(
            f"The host {host!r} of the URL is neither a host name nor an IP address."
        )


def parsed(host: str) -> Address | None:
    """Return a host as an address; None if it is a name, or an address with a zone."""
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


class Allowed:
    """Allowed destinations: public addresses, and networks and hosts that the operator lists."""

    def __init__(
        self, networks: Iterable[IPv4Network | IPv6Network] = (), hosts: Iterable[str] = ()
    ) -> None:
        self._networks = tuple(networks)
        self._hosts = frozenset(hosts)

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Parse a list of CIDR networks, addresses and host names.

        Raises:
            ValueError: An entry has another form.
        """
        networks: list[IPv4Network | IPv6Network] = []
        hosts: list[str] = []
        for entry in entries:
            name = entry.strip().strip("[]").rstrip(".").lower()
            try:
                networks.append(ip_network(name))
            except ValueError as exc:
                if _NUMERIC.fullmatch(name) or not _HOST.fullmatch(name):
                    raise ValueError(
                        f"{entry!r} is not a CIDR network, an address or a host name"
                    ) from exc
                hosts.append(name)
        return cls(networks, hosts)

    def check(self, host: str, addresses: Iterable[Address]) -> None:
        """Check that all addresses of a host are allowed.

        Raises:
            UrlNotAllowed: An address is not allowed.
        """
        if host in self._hosts:
            return
        for address in addresses:
            if not is_public(address) and not self._lists(address):
                # The message omits the address, which would reveal names of the internal network.
                raise UrlNotAllowed(
                    f"The host {host} is not, or does not resolve to, a public address."
                )

    def _lists(self, address: Address) -> bool:
        embedded = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((embedded or address) in network for network in self._networks)
