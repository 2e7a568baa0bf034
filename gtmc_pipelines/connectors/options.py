"""Plain options of a connector: which there are, and how `--option name=value` becomes one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gtmc_pipelines.connectors.host_guard import checked_url
from gtmc_pipelines.model.errors import Broken, Misuse

SandboxHosts = frozenset[str]


@dataclass(frozen=True, slots=True)
class Option:
    """An option: its name, what it is for, and how its text is checked and typed."""

    name: str
    description: str
    parse: Callable[[str, SandboxHosts], Any]


def whole_number(least: int, most: int) -> Callable[[str, SandboxHosts], int]:
    """A parser for whole numbers within bounds."""

    def parse(text: str, _: SandboxHosts) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return parse


def matching(pattern: str, what: str) -> Callable[[str, SandboxHosts], str]:
    """A parser for texts of a form, described by `what`."""

    def parse(text: str, _: SandboxHosts) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {what}")
        return text

    return parse


def https_url(text: str, sandbox_hosts: SandboxHosts) -> str:
    """A parser for base URLs: https and public, or one of the sandbox."""
    try:
        checked_url(text, sandbox_hosts)
    except Broken as error:
        raise ValueError(f"is refused; {error.sentence}") from None
    return text.rstrip("/")


def parse_options(known: Iterable[Option], texts: Iterable[str], sandbox_hosts: SandboxHosts) -> dict[str, Any]:
    """Options from `name=value` texts. Raises Misuse for an unknown name or a bad value."""
    by_name: Mapping[str, Option] = {option.name: option for option in known}
    found: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        option = by_name.get(name)
        if option is None or not separator:
            raise Misuse(
                "unknown_option",
                f"{name[:40]!r} is no option of this connector.",
                next_step=f"Write name=value; names are: {', '.join(by_name)}.",
            )
        try:
            found[name] = option.parse(value, sandbox_hosts)
        except ValueError as error:
            raise Misuse("bad_option", f"The option {name} {error}.") from None
    return found
