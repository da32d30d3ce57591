"""Which addresses may be fetched when a search result names them: public ones, checked as the connection is made.

A result is written by strangers. Its address may be this machine's, the local network's or a cloud's metadata
service; a name may resolve to a public address when it is looked at and to a private one when it is used.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import AddrInfoType, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from evalkit.errors import one_line

Address = IPv4Address | IPv6Address
Allowed = Callable[[Address], bool]

_NAT64 = IPv6Network("64:ff9b::/96")
_NEVER = tuple(
    map(
        ip_network,
        # what Python 3.11.9 and older take for global (CVE-2024-4032), clouds' metadata services among it, and one
        # such service that does have a public number (Azure's)
        ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "64:ff9b:1::/48", "2001::/23", "3fff::/20", "5f00::/16"),
    )
)


class RefusedError(Exception):
    """An address that must not be fetched."""


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large, seen through the forms that carry an IPv4 address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour is not None or address.teredo is not None or address.is_site_local:
            return False
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def checked(url: str, allowed: Allowed = is_public) -> URL:
    """Look at an address before it is fetched; names are checked when they are resolved, see `connector`.

    The fetching library's own reading of the address is looked at: two readings can differ in the host.

    Raises:
        RefusedError: it is not http(s), carries a user name, or its host is a number that is not allowed.
    """
    try:
        read = URL(url)
        host = read.raw_host
    except (ValueError, TypeError):
        raise RefusedError(f"{one_line(url, 80)!r} is no address") from None
    if read.scheme not in ("http", "https") or not host:
        raise RefusedError(f"{one_line(url, 80)!r} is no http(s) address")
    if read.user is not None or read.password is not None:
        raise RefusedError("the address carries a user name")
    with contextlib.suppress(ValueError):
        _check(host, allowed)
    return read


def connector(allowed: Allowed = is_public) -> TCPConnector:
    """Connects to allowed addresses only.

    A name is resolved once for each connection, which goes to one of the addresses that were looked at; each
    address is looked at once more as its socket is made.
    """

    def make(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        _check(str(address[0]), allowed)
        return socket.socket(family, kind, protocol)

    return TCPConnector(resolver=Resolver(allowed), use_dns_cache=False, socket_factory=make)


class Resolver(AbstractResolver):
    """Resolves a name to addresses that are all allowed; the connection is made to just these.

    Args:
        allowed: which addresses may be connected to.
        names: the resolver underneath.
    """

    def __init__(self, allowed: Allowed = is_public, names: AbstractResolver | None = None) -> None:
        self._allowed = allowed
        self._names = names or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`.

        Raises:
            RefusedError: one of them is not allowed.
            OSError: the name cannot be resolved.
        """
        found = await self._names.resolve(host, port, family)
        for entry in found:
            _check(entry["host"], self._allowed, host)
        return found

    async def close(self) -> None:
        """Free the resolver underneath."""
        await self._names.close()


def _check(number: str, allowed: Allowed, name: str = "") -> None:
    if not allowed(ip_address(number.partition("%")[0])):
        found = f"{one_line(name, 80)} resolves to {number}, which" if name else one_line(number, 80)
        raise RefusedError(f"{found} is not a public address")
