"""Which hosts and addresses user code may reach. Pure.

A host name is judged before it is looked up, every address right before the connection to it is
made: what a name pointed to a moment ago does not matter.
"""

from __future__ import annotations

import ipaddress

from fenchel.runtime.settings import EgressSettings

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv6 addresses that carry an IPv4 address which a gateway would connect to.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
# Not private by the letter, but never a public server; the second holds clouds' metadata services.
_DENIED = (
    ipaddress.ip_network("0.0.0.0/8"),
    ipaddress.ip_network("100.64.0.0/10"),
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("fec0::/10"),
)


class AddressDenied(OSError):
    """The policy of this deployment does not allow this destination."""


def check_host(host: str, settings: EgressSettings) -> None:
    """Raises: AddressDenied."""
    name = host.lower().rstrip(".")
    if any(_matches(name, pattern) for pattern in settings.hosts_denied):
        raise AddressDenied(f"this deployment does not allow requests to {name}")
    allowed = settings.hosts_allowed
    if allowed and not any(_matches(name, pattern) for pattern in allowed):
        raise AddressDenied(f"this deployment allows requests to chosen hosts only, not to {name}")


def check_address(text: str, settings: EgressSettings) -> None:
    """`text`: a numeric address, as a socket gets it. Raises: AddressDenied."""
    if settings.private_addresses_allowed:
        return
    address = _effective(ipaddress.ip_address(text.partition("%")[0]))
    if is_private(address):
        raise AddressDenied(f"this deployment does not allow requests to private addresses: {text}")


def is_private(address: IpAddress) -> bool:
    """True for every address that is not a public unicast address."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return True
    return any(address.version == network.version and address in network for network in _DENIED)


def _effective(address: IpAddress) -> IpAddress:
    """The IPv4 address that the connection would end at, if the IPv6 address carries one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    embedded = address.ipv4_mapped or address.sixtofour
    if embedded is not None:
        return embedded
    if address in _NAT64 or address in _NAT64_LOCAL:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _matches(name: str, pattern: str) -> bool:
    """`pattern`: a host name, or `*.` and a domain for everything below it."""
    pattern = pattern.lower()
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return name == pattern
