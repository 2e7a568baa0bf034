"""Where a vendor call may go: https to public addresses, and nowhere else but the named sandbox.

Base URLs and next-page links come from outside, so both the text of the URL and the address that is
actually connected to are checked (rule: SSRF). A leaf: imports nothing of ours but the error tree.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from urllib.parse import SplitResult, urlsplit

from gtmc_pipelines.model.errors import Broken

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # the only IPv6 space given out so far; all of NAT64 beside it
_LEADS_INSIDE = tuple(
    map(ipaddress.ip_network, ("2001::/32", "2002::/16", "2001:db8::/32", "3fff::/20", "5f00::/16", "2001:20::/28"))
)
"""Tunnels to IPv4 (Teredo, 6to4), documentation, SRv6, ORCHID: no vendor is there."""
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # the third quarter of an address that ends in an IPv4 one: RFC 5214

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Iterable[str]]


def checked_url(url: str, sandbox_hosts: frozenset[str] = frozenset()) -> SplitResult:
    """Split `url` when its text is acceptable: https, a public host by name or plain address, no user part.

    For a `host:port` of `sandbox_hosts`, http and loopback are fine too. Raises Broken
    (`address_refused`) otherwise; the sentence names the host only.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise refused("(malformed)", "the URL is malformed") from None
    if "@" in parts.netloc or "\\" in url:
        raise refused(host, "it carries a user name or a backslash")
    if host_port(parts) in sandbox_hosts and parts.scheme in {"http", "https"}:
        return parts
    if parts.scheme != "https":
        raise refused(host, "only https is allowed")
    if port not in (None, 443) and not 1024 <= port <= 65535:
        raise refused(host, "the port is reserved for another service")
    _check_host(host)
    return parts


def host_port(parts: SplitResult) -> str:
    """`host:port` in lower case, the scheme's port filled in, as `sandbox_hosts` lists them."""
    return f"{(parts.hostname or '').lower()}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def is_public(text: str) -> bool:
    """True when `text` is an address of the public internet, whatever it is wrapped in."""
    try:
        address: IpAddress = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return _is_vendors_space(address) and all(
        inner.is_global and not inner.is_multicast for inner in _unwrapped(address)
    )


def public_addresses(host: str, port: int, resolve: Resolve | None = None) -> list[str]:
    """Addresses of `host` to connect to. One that isn't public condemns them all (DNS rebinding).

    Raises Broken (`address_refused`), or OSError when the name has no address.
    """
    found = list(dict.fromkeys((resolve or resolve_name)(host, port)))
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    if not all(is_public(address) for address in found):
        raise refused(host, "it leads to an address that is not public")
    return found


def resolve_name(host: str, port: int) -> list[str]:
    """Every address the system's resolver gives for `host`."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def refused(host: str, why: str) -> Broken:
    """The error for an address we don't call."""
    return Broken(
        "address_refused",
        f"The address {host[:80]!r} is refused: {why}.",
        next_step="Use the vendor's https address; a sandbox has to be listed in GTMC_SANDBOX_HOSTS.",
    )


def _check_host(host: str) -> None:
    if ":" in host:  # an IPv6 literal; urlsplit has taken the brackets off
        if not is_public(host):
            raise refused(host, "it is not a public address")
        return
    if _NUMERIC.fullmatch(host):
        _check_numeric(host)
        return
    if not _NAME.fullmatch(host):
        raise refused(host, "it is not a plain public host name")


def _check_numeric(host: str) -> None:
    """Only the four-decimals notation: 0x7f.1, 2130706433 and 0177.0.0.1 are how loopback is smuggled in."""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        raise refused(host, "addresses in unusual notation are not accepted") from None
    if not is_public(host):
        raise refused(host, "it is not a public address")


def _is_vendors_space(address: IpAddress) -> bool:
    """Whether public servers may be there at all; what is wrapped in it is another question."""
    if isinstance(address, ipaddress.IPv4Address) or address.ipv4_mapped is not None or address in _NAT64:
        return True
    return address in _GLOBAL_UNICAST and not any(address in network for network in _LEADS_INSIDE)


def _unwrapped(address: IpAddress) -> list[IpAddress]:
    """The address and every IPv4 address hidden in it (mapped, 6to4, Teredo, NAT64, IPv4-compatible)."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    hidden = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or int(address) >> 32 == 0:
        hidden.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        hidden.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    inner: list[IpAddress] = [item for item in hidden if item is not None]
    if address.ipv4_mapped is not None or address in _NAT64:
        return inner  # the wrapping itself is not "global", what is inside decides
    return [address, *inner]
