"""Taking an API key from a file, from stdin or from a prompt: never from the command line."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.vault.secret import Secret

_LONGEST = 4096  # characters; keys are far shorter


def read_keys(login: KeyLogin, key_file: Path | None) -> dict[str, Secret]:
    """The secrets a vendor wants, one a line in the order of `login.secrets`. Raises Misuse when one is missing."""
    if key_file is None:
        return {name: _checked(name, getpass.getpass(f"{name.replace('_', ' ')}: ")) for name in login.secrets}
    lines = _text(key_file).splitlines()
    return {
        name: _checked(name, lines[position] if position < len(lines) else "")
        for position, name in enumerate(login.secrets)
    }


def _text(key_file: Path) -> str:
    if str(key_file) == "-":
        return sys.stdin.read(_LONGEST)
    try:
        with key_file.open(encoding="utf-8") as file:
            return file.read(_LONGEST)
    except (OSError, UnicodeDecodeError):
        raise Misuse("key_file_unreadable", f"The key file {str(key_file)!r} can't be read as text.") from None


def _checked(name: str, text: str) -> Secret:
    value = text.strip()
    if not value or not value.isascii() or not value.isprintable():
        raise Misuse("bad_key", f"The {name.replace('_', ' ')} is empty or holds characters no key has.")
    return Secret(value)
