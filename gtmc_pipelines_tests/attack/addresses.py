"""Attacks on the host guard: private addresses in every disguise, names that lead to them, redirects to them.

Each attempt is a whole call of a vendor session; only the resolver's answer and the dialling itself are stood in for.
Every address made here leads to a private place, so anything dialled is a success, whatever the guard thought of it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from random import Random
from unittest.mock import patch

import requests

from gtmc_pipelines.connectors import adapters, host_guard
from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.stage import Stage
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer

_PRIVATE = tuple(
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/29", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4", "169.254.169.254/32", "127.0.0.1/32", "255.255.255.255/32"),
    )
)
"""IANA's registry of special-purpose addresses: nothing of the public internet, and multicast."""

_PRIVATE_6 = tuple(
    IPv6Network(network)
    for network in ("::/127", "fe80::/10", "fc00::/7", "ff00::/8", "2001:db8::/32", "100::/64", "fd00:ec2::254/128")
)
_LOOKALIKES = {"0": "０⓪𝟎", "1": "１①𝟏", "2": "２②𝟐", "7": "７⑦𝟕", "9": "９⑨𝟗", ".": "。．｡"}
_PATHS = ("", "/", "/latest/meta-data", "/graphql?query=mutation", "/x#y", "?q=1")


def private_4(dice: Random) -> IPv4Address:
    """Any private IPv4 address; the edges of a range more often than their share."""
    network = dice.choice(_PRIVATE)
    offset = dice.choice((0, network.num_addresses - 1, dice.randrange(network.num_addresses)))
    return network[offset]


def private_6(dice: Random) -> IPv6Address:
    """A private IPv6 address, or one that carries a private IPv4 address to where it will be unpacked."""
    inner = int(private_4(dice))
    noise = dice.getrandbits(64)
    carriers = (
        0xFFFF << 32 | inner,  # mapped
        inner,  # compatible
        0x64_FF9B << 96 | inner,  # NAT64
        0x64_FF9B_0001 << 80 | dice.getrandbits(48) << 32 | inner,  # NAT64 of one's own network
        0x2606_4700 << 96 | 0x5EFE << 32 | inner,  # ISATAP, in a public range
        0x2002 << 112 | inner << 80 | noise,  # 6to4
        0x2001_0000 << 96 | (noise & 0xFFFFFFFF) << 64 | (noise >> 32) << 32 | inner ^ 0xFFFFFFFF,  # Teredo's client
        0x2001_0000 << 96 | inner << 64 | noise,  # Teredo's server
    )
    if dice.random() < 0.3:
        network = dice.choice(_PRIVATE_6)
        return network[dice.randrange(network.num_addresses)]
    return IPv6Address(dice.choice(carriers))


def _decimal(_dice: Random, address: IPv4Address) -> str:
    return str(address)


def _unusual(dice: Random, address: IPv4Address) -> str:
    """As inet_aton reads it: one to four parts, each decimal, octal or hexadecimal, with zeros before it."""
    octets, count = list(address.packed), dice.randrange(1, 5)
    parts = [*octets[: count - 1], int.from_bytes(bytes(octets[count - 1 :]), "big")]
    ways = (str, hex, lambda part: "0" + oct(part)[2:], lambda part: "0X" + hex(part)[2:].upper())
    return ".".join(dice.choice(("", "0" * dice.randrange(3))) + _written(dice.choice(ways), part) for part in parts)


def _written(way: Callable[[int], str], part: int) -> str:
    return way(part)


def _lookalike(dice: Random, address: IPv4Address) -> str:
    text = "".join(dice.choice(_LOOKALIKES.get(character, character)) for character in str(address))
    return text if text != str(address) else str(address) + "."


def _dotted(dice: Random, address: IPv4Address) -> str:
    return str(address) + "." * dice.randrange(1, 3)


def _bracketed(dice: Random, _address: IPv4Address) -> str:
    inner = private_6(dice)
    text = dice.choice((str(inner), inner.exploded, str(inner).upper()))
    if inner.ipv4_mapped is not None and dice.random() < 0.5:
        text = f"::ffff:{inner.ipv4_mapped}"
    return f"[{text}{dice.choice(('', '', '', '%25eth0', '%25lo', '%1'))}]"


def _short_name(dice: Random, _address: IPv4Address) -> str:
    names = ("localhost", "LocalHost", "localhost.", "metadata", "kubernetes", "postgres", "ip6-localhost", "ⓛocalhost")
    return dice.choice(names)


def _name(dice: Random, address: IPv4Address) -> str:
    """A name of somebody's own zone, which the resolver says leads there."""
    words = (f"{address}.nip.io", f"{int(address):x}.rebind.example", "localtest.me", "acme.my.salesforce.com")
    chosen = dice.choice((*words, "bücher.example", "xn--bcher-kva.example", "a" * 63 + ".example"))
    return dice.choice((chosen, chosen.upper(), chosen + "."))


_HOSTS = (_decimal, _unusual, _lookalike, _dotted, _bracketed, _short_name, _name)


class AddressAttack:
    """Calls private places by a vendor session; `dialled` are the addresses a socket would have been opened to."""

    def __init__(self, vendor: ScriptedVendor, session: VendorSession) -> None:
        self._vendor, self._session = vendor, session
        self.dialled: list[str] = []
        self.answers: list[str] = []

    def attempt(self, dice: Random) -> Tried:
        """One call of one address, or of a vendor that redirects to it."""
        self.dialled.clear()
        make = dice.choice(_HOSTS)
        host, form = make(dice, private_4(dice)), make.__name__.strip("_").replace("_", " ")
        self.answers = self._resolved(dice)
        url = self._dressed(dice, host)
        if dice.random() < 0.06:
            return Tried(f"redirect to {form}", self._redirected(dice, url))
        self._call(url, self._session)
        return Tried(form, f"{self.dialled[0]} was dialled for {url!r}" if self.dialled else None)

    def aftermath(self) -> list[str]:
        """None: what is dialled is seen at once."""
        return []

    def resolve(self, host: str, _port: int) -> list[str]:
        """The system's own reading of a numeric host (inet_aton's forms too), else what the attacker's zone says."""
        try:
            return [str(entry[4][0]) for entry in socket.getaddrinfo(host, 443, flags=socket.AI_NUMERICHOST)]
        except (OSError, UnicodeError):
            return self.answers

    def dial(self, address: tuple[str, int], *_rest: object, **_named: object) -> socket.socket:
        """Note where it would have gone; nothing is opened."""
        self.dialled.append(address[0])
        raise ConnectionRefusedError

    def _resolved(self, dice: Random) -> list[str]:
        private = str(dice.choice((private_4, private_6))(dice))
        return dice.choice(([private], ["93.184.215.14", private], [private, "2606:4700::1111"]))

    def _dressed(self, dice: Random, host: str) -> str:
        scheme = dice.choice(("https", "https", "https", "https", "HTTPS", "http", "ftp", "file", "gopher", "https:"))
        user = dice.choice(("", "", "", "", "user@", "user:word@", "example.com@", "example.com\\@", "a%40b@"))
        port = dice.choice(("", "", "", ":443", ":8443", ":5432", ":22", ":0", ":", ":99999"))
        return f"{scheme}://{user}{host}{port}{dice.choice(_PATHS)}"

    def _redirected(self, dice: Random, url: str) -> str | None:
        status = dice.choice((301, 302, 303, 307, 308))
        location = url.encode("ascii", "ignore").decode()
        self._vendor.seen.clear()
        self._vendor.script.clear()
        self._vendor.script.append(answer(status, Location=location))
        with VendorSession("Acme", self._vendor.settings(max_attempts=1)) as session:
            self._call(f"http://{self._vendor.host}/page", session)
        if self.dialled or len(self._vendor.seen) != 1:
            return f"a redirect to {location!r} was followed"
        return None

    def _call(self, url: str, session: VendorSession) -> None:
        try:
            session.get(url)
        except (GtmcError, requests.RequestException, UnicodeError, ValueError):
            return  # refused by the guard, or no URL for requests itself
        raise AssertionError(f"{url!r} was answered")


@contextmanager
def _opened(_stage: Stage) -> Iterator[AddressAttack]:
    vendor = ScriptedVendor()
    try:
        with ExitStack() as stack:
            settings = ConnectorSettings("acme", "c-1", http=HttpLimits(max_attempts=1))
            attack = AddressAttack(vendor, stack.enter_context(VendorSession("Acme", settings)))
            stack.enter_context(patch.object(host_guard, "resolve_name", attack.resolve))
            stack.enter_context(patch.object(adapters, "create_connection", attack.dial))
            yield attack
    finally:
        vendor.close()


KIND = Kind("addresses", "a socket is opened to a private address", 15_000, 300, _opened)
