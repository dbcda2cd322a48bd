"""Who may be reached: every way of writing a private address, and lists of hosts."""

from __future__ import annotations

import ipaddress

import pytest

from fenchel.isolate.network.address_policy import (
    AddressDenied,
    check_address,
    check_host,
    is_private,
)
from fenchel.runtime.settings import EgressSettings

CLOSED = EgressSettings(private_addresses_allowed=False)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.9",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001::1",
    ],
)
def test_private_addresses_are_denied_however_they_are_written(address: str) -> None:
    with pytest.raises(AddressDenied, match="private addresses"):
        check_address(address, CLOSED)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    check_address(address, CLOSED)


def test_private_addresses_are_allowed_unless_the_deployment_says_otherwise() -> None:
    check_address("127.0.0.1", EgressSettings())
    assert is_private(ipaddress.ip_address("127.0.0.1"))


def test_denied_hosts_win_over_allowed_ones() -> None:
    settings = EgressSettings(hosts_allowed=("*.x.org",), hosts_denied=("bad.x.org",))
    check_host("good.X.org.", settings)
    for host in ("bad.x.org", "x.org", "y.org", "notx.org"):
        with pytest.raises(AddressDenied):
            check_host(host, settings)
