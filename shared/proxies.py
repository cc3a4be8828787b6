"""Whose address a call comes from, where gateways stand in between.

Only what a trusted gateway appended to `x-forwarded-for` counts. The header is read from its end: each trusted proxy
vouches for the address that it saw, and the first that is not a proxy of ours is the caller; whatever that one sent
itself is hearsay.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

_MAX_HOPS: Final = 20
_HOME_PREFIX: Final = 64


def networks(text: str) -> tuple[Network, ...]:
    """Networks in CIDR notation, separated by commas; raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


class TrustedProxies:
    """The gateways whose word on a caller's address is taken."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        """Trust nobody where there are none."""
        self._trusted = tuple(trusted)
        self._is_trusted = lru_cache(maxsize=10_000)(self._find)

    def caller(self, peer: str, forwarded_for: str) -> str:
        """The caller's address: the peer's own, unless the peer is a gateway of ours."""
        if not (forwarded_for and self._is_trusted(peer)):
            return peer
        address = peer
        for hop in reversed(forwarded_for.split(",")[-_MAX_HOPS:]):
            plain = _plain(hop.strip())
            if plain is None:
                break
            address = plain
            if not self._is_trusted(address):
                break
        return address

    def _find(self, address: str) -> bool:
        plain = _plain(address)
        return plain is not None and any(ip_address(plain) in network for network in self._trusted)


@lru_cache(maxsize=10_000)
def neighbourhood(address: str) -> str:
    """What a limit by address counts together: an IPv4 address, or the /64 that an IPv6 customer has."""
    plain = _plain(address)
    if plain is None or ":" not in plain:
        return plain or address
    return str(ip_network(f"{plain}/{_HOME_PREFIX}", strict=False))


def _plain(text: str) -> str | None:
    """An address in its usual spelling, IPv4 also where it comes as IPv6; None where it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None  # noqa: PLR2004 - IPv6
    return str(mapped or address)
