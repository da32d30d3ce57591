"""What a search result names is fetched from public addresses only."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from evalkit.search.guard import RefusedError, Resolver, checked, is_public

PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.0.1",
    "198.18.0.1",
    "203.0.113.4",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2001::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "2001:db8::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_the_internets(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *(f"http://[{a}]/x" if ":" in a else f"http://{a}/x" for a in PRIVATE),
        "http://１２７.0.0.1/",
        "http://①②⑦.⓪.0.1/",
        "http://[fe80::1%25eth0]/",
        "file:///etc/passwd",
        "ftp://example.org/a.png",
        "data:image/png;base64,AAAA",
        "gopher://example.org/",
        "//example.org/a.png",
        "http:///a.png",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://1.1.1.1\\@127.0.0.1/",
        "http://[::1",
        "http://example.org:99999/",
        "",
    ],
)
def test_addresses_that_are_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(RefusedError):
        checked(url)


def test_a_plain_address_passes() -> None:
    assert checked("https://example.org/a.png?b=c").raw_host == "example.org"
    assert checked("http://[2606:4700::1111]/").raw_host == "2606:4700::1111"


class Names(AbstractResolver):
    """Gives each name these addresses, one set after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(hostname=host, host=number, port=port, family=family, proto=0, flags=0) for number in found
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("numbers", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"], ["fe80::1%eth0"]])
def test_a_name_is_refused_if_any_of_its_addresses_is_not_public(numbers: list[str]) -> None:
    with pytest.raises(RefusedError, match="not a public address"):
        asyncio.run(Resolver(names=Names(numbers)).resolve("innocent.example"))


def test_a_public_name_is_resolved_to_the_addresses_that_were_looked_at() -> None:
    found = asyncio.run(Resolver(names=Names(["8.8.8.8"], ["127.0.0.1"])).resolve("example.org", 443))
    assert [entry["host"] for entry in found] == ["8.8.8.8"]
