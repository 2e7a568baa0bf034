"""Where a vendor's credentials are sent, and the hosts a session may send them to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gtmc_pipelines.connectors.host_guard import host_port
from gtmc_pipelines.model.errors import Broken

if TYPE_CHECKING:
    from gtmc_pipelines.connectors.contract import ConnectorSettings


@dataclass(frozen=True, slots=True)
class Addresses:
    """What a vendor's folder says of its addresses.

    `of` gives every URL that settings send credentials to, by the option's name. `is_own` tells whether a host is
    the vendor's. `followed` names the sealed value that is an address by the vendor's own newest answer, if any.
    """

    of: Callable[[ConnectorSettings], Mapping[str, str]]
    is_own: Callable[[str], bool]
    followed: str = ""


class Destinations:
    """Hosts that a session with stored credentials may send to: none until the credentials were read and compared."""

    def __init__(self) -> None:
        self._hosts: frozenset[str] = frozenset()

    def allow(self, urls: Iterable[str]) -> None:
        """Allow the hosts of these URLs and no others."""
        self._hosts = frozenset(host_port(urlsplit(url)) for url in urls)

    def check(self, url: str) -> None:
        """Raises Broken (`address_not_bound`) for a URL at any other host."""
        parts = urlsplit(url)
        if host_port(parts) not in self._hosts:
            raise Broken(
                "address_not_bound",
                f"A call to {(parts.hostname or '')[:80]!r} was stopped: the credentials weren't stored for that host.",
                next_step="Report this; nothing was sent there.",
            )
