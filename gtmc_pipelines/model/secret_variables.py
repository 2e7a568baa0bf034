"""Which environment variables hold secrets that somebody's file or run config may refer to: told by their name."""

from __future__ import annotations

import re

PREFIX = "GTMC_SECRET_"
_NAME = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_]{1,200}")


def is_for_secrets(variable: str) -> bool:
    """Whether a variable's name says that it is there to be referred to."""
    return _NAME.fullmatch(variable) is not None


def secret_variable(*parts: str) -> str:
    """The name of a variable for a secret, from words that tell whose it is."""
    return PREFIX + re.sub(r"[^A-Z0-9]", "_", "_".join(parts).upper())
