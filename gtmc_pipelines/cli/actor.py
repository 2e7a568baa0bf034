"""Who acts, as the audit log records it: the user of this machine."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """The user's name, or `uid-<number>` for an account without one (containers)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the password database; OSError since Python 3.13
        return f"uid-{os.getuid()}"


def cli_actor() -> str:
    """`cli:<user>`."""
    return f"cli:{user_name()}"


def acting_for(by: str | None) -> str:
    """`cli:<user>`, and for whom when somebody else decided: `cli:<user> for <by>`."""
    return cli_actor() if by is None else f"{cli_actor()} for {by}"
