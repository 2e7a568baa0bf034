"""What a sandbox is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class SandboxMisuse(ValueError):
    """An option that can't be served; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Options of one sandbox.

    `first_port` 0 takes free ports; else vendor n listens on first_port + 2n (http) and + 2n + 1 (https).
    `vendors` empty means all. `sizes` overrides how many live records of a kind each tenant has.
    `state_dir` keeps the CA, grants and mutations for the next start; None forgets them.
    """

    host: str = "127.0.0.1"
    first_port: int = 0
    seed: int = 7
    vendors: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ("acme", "globex", "initech")
    sizes: Mapping[str, int] = field(default_factory=dict)
    state_dir: Path | None = None


def parse_size(text: str) -> tuple[str, int]:
    """`contacts=200000` as a pair. Raises SandboxMisuse on anything else."""
    name, _, number = text.partition("=")
    if not name or not number.replace("_", "").isdigit():
        raise SandboxMisuse(f"{text!r} is not a size: write it as contacts=200000.")
    return name, int(number)
