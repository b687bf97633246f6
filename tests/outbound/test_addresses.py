"""Tests of the checks of addresses and hosts."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from app.outbound import Allowed, UrlNotAllowed
from app.outbound.addresses import check_host, is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",  # noqa: S104
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "172.16.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "100::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(UrlNotAllowed):
        Allowed().check("host.example", [ip_address("8.8.8.8"), ip_address(address)])


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::",
    ],
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_public(ip_address(address))
    Allowed().check("host.example", [ip_address(address)])


@pytest.mark.parametrize(
    "host",
    [
        "",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.1.2",
        "1.2.3",
        "08.8.8.8",
        "a.0x",
        "host.1",
        "::1%lo",
        "fe80::1%eth0",
        "a%2eb",
        "a b",
        "a..b",
        ".a",
        "-.example",
        "a" * 64 + ".example",
        "a." * 127 + "ab",
    ],
)
def test_a_host_in_an_unusual_form_is_refused(host: str) -> None:
    with pytest.raises(UrlNotAllowed):
        check_host(host)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "::1", "example", "a-b.example", "_dmarc.x1.example", "xn--bcher-kva.de"]
)
def test_a_host_in_canonical_form_is_accepted(host: str) -> None:
    check_host(host)


def test_an_operator_may_list_networks_addresses_and_hosts() -> None:
    allowed = Allowed.parse(["10.1.0.0/16", "::1", "192.168.0.7", "Files.Internal."])
    allowed.check("x.example", [ip_address("10.1.2.3")])
    allowed.check("x.example", [ip_address("::ffff:10.1.2.3")])
    allowed.check("x.example", [ip_address("::1"), ip_address("192.168.0.7")])
    allowed.check("files.internal", [ip_address("10.9.9.9")])
    for host, address in [
        ("x.example", "10.2.0.1"),
        ("x.files.internal", "10.9.9.9"),
        ("x.example", "192.168.0.8"),
    ]:
        with pytest.raises(UrlNotAllowed):
            allowed.check(host, [ip_address(address)])


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "http://x", "300.1.1.1", "*.example", "a b", ""])
def test_an_invalid_entry_of_the_setting_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a CIDR"):
        Allowed.parse([entry])
