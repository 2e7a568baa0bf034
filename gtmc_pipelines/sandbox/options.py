"""What a sandbox is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

REDIRECT_URIS = ("http://localhost:8400/callback", "https://app.example/oauth/callback")
"""Callbacks registered with the imitated apps from the start: the documented one, and one of a hosted platform."""


class SandboxMisuse(ValueError):
    """An option that can't be served; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Options of one sandbox.

    `first_port` 0 takes free ports; else vendor n listens on first_port + 2n (http) and + 2n + 1 (https).
    `vendors` empty means all. `sizes` overrides how many live records of a kind each tenant has.
    `state_dir` keeps the CA, grants and mutations for the next start; None forgets them.
    `redirect_uris` are callbacks registered with the apps of Salesforce and Microsoft besides `REDIRECT_URIS`.
    Raises SandboxMisuse for one that the vendors' own forms refuse.
    """

    host: str = "127.0.0.1"
    first_port: int = 0
    seed: int = 7
    vendors: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ("acme", "globex", "initech", "northwind")
    sizes: Mapping[str, int] = field(default_factory=dict)
    state_dir: Path | None = None
    redirect_uris: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Look at the callbacks as the vendors' forms do."""
        for uri in self.redirect_uris:
            if not is_registrable(uri):
                raise SandboxMisuse(f"The callback {uri!r} cannot be an HTTP URL, except for http://localhost.")

    @property
    def registered_redirects(self) -> tuple[str, ...]:
        """Every callback the apps know."""
        return tuple(dict.fromkeys((*self.redirect_uris, *REDIRECT_URIS)))


def is_registrable(uri: str) -> bool:
    """Whether the vendors' forms take a callback: https, or http for the word `localhost`; no bare loopback address.

    Salesforce: "must use secure HTTPS or a custom URI scheme" (External Client App OAuth settings), localhost
    excepted. Microsoft: the same for web redirects (reply-url restrictions).
    """
    try:
        parts = urlsplit(uri)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    if not (has_port and parts.hostname) or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "localhost")


def parse_size(text: str) -> tuple[str, int]:
    """`contacts=200000` as a pair. Raises SandboxMisuse on anything else."""
    name, _, number = text.partition("=")
    if not name or not number.replace("_", "").isdigit():
        raise SandboxMisuse(f"{text!r} is not a size: write it as contacts=200000.")
    return name, int(number)
