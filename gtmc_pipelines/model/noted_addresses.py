"""The note of where a connector's credentials may be sent: sealed beside them, so no plain setting can move them.

It names its tenant and connector itself, because the older sealed format binds nothing to its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

NOTED = "addresses"
"""The note's name among a connector's secrets."""

ADDRESS_CHANGED = "address_changed"
"""Code of the error for credentials that would be sent elsewhere than where they were proven."""

_PORTS = {"https": 443, "http": 80}
_LONGEST_SHOWN = 120


def plain_address(url: str) -> str:
    """`scheme://host[:port]/path` for comparing: lower-case host, no default port, no slash at the end.

    Raises ValueError when the text is no URL of a host, or carries a user or a query.
    """
    parts = urlsplit(url.strip())
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("no plain address")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port not in (None, _PORTS.get(parts.scheme)) else ""
    return f"{parts.scheme}://{host.lower()}{port}{parts.path.rstrip('/')}"


def host_shown(url: str) -> str:
    """`host[:port]` for people, as `--confirm-address` takes it; `(malformed)` for what has none."""
    try:
        shown = urlsplit(plain_address(url)).netloc
    except ValueError:
        return "(malformed)"
    return shown[:_LONGEST_SHOWN] if shown.isprintable() else "(malformed)"


def note_of(tenant_id: str, connector_id: str, urls: Iterable[str]) -> str:
    """The note's text. Raises ValueError as `plain_address` does."""
    addresses = sorted({plain_address(url) for url in urls})
    return json.dumps({"tenant": tenant_id, "connector": connector_id, "addresses": addresses})


def noted(text: str, tenant_id: str, connector_id: str) -> frozenset[str]:
    """Addresses of a note; none when it was made for another connector or is no note."""
    try:
        found: Any = json.loads(text)
        is_its = (found["tenant"], found["connector"]) == (tenant_id, connector_id)
        return frozenset(str(address) for address in found["addresses"]) if is_its else frozenset()
    except (ValueError, TypeError, KeyError):
        return frozenset()
