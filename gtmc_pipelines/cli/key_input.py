"""Taking an API key from a file, from stdin or from a prompt: never from the command line."""

from __future__ import annotations

import getpass
from pathlib import Path

from gtmc_pipelines.cli.text_files import read_text
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.vault.secret import Secret

_LONGEST = 4096  # characters; keys are far shorter


def read_keys(login: KeyLogin, key_file: Path | None) -> dict[str, Secret]:
    """The secrets a vendor wants, one a line in the order of `login.credential_names`.

    Optional ones are left out when their line is empty or missing. Raises Misuse for a required one that
    is missing, for characters no key has, and for lines too many.
    """
    names = login.credential_names
    if key_file is None:
        given = [getpass.getpass(_prompt(name, login)) for name in names]
    else:
        given = [line.strip() for line in _text(key_file).strip().splitlines()]
    if len(given) > len(names):
        raise Misuse(
            "bad_key",
            f"There are {len(given)} lines where {len(names)} {'is' if len(names) == 1 else 'are'} expected.",
            next_step=f"Write one a line: {', '.join(name.replace('_', ' ') for name in names)}.",
        )
    lines = dict(zip(names, given, strict=False))
    return {name: _checked(name, lines.get(name, "")) for name in names if name in login.secrets or lines.get(name, "")}


def _prompt(name: str, login: KeyLogin) -> str:
    hint = "not shown; empty: none" if name in login.optional else "not shown"
    return f"{name.replace('_', ' ')} ({hint}): "


def _text(key_file: Path) -> str:
    try:
        return read_text(key_file, _LONGEST)
    except (OSError, UnicodeDecodeError):
        raise Misuse(
            "key_file_unreadable",
            f"The key file {str(key_file)!r} can't be read as text.",
            next_step="Name a file that holds the key on a line of its own; '-' reads stdin.",
        ) from None


def _checked(name: str, text: str) -> Secret:
    value = text.strip()
    if not value or not value.isascii() or not value.isprintable():
        raise Misuse("bad_key", f"The {name.replace('_', ' ')} is empty or holds characters no key has.")
    return Secret(value)
