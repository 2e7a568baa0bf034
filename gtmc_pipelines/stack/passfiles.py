"""The passwords of the embedded PostgreSQL: one file for each login, in libpq's form, mode 0600.

`<data>.pass` is the superuser's. When we are root it belongs to the account that runs the server, and the stack's other
processes, which have given root's rights up (rights.py), can't read it. `<data>-<login>.pass` are the others'.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

SUPERUSER = "postgres"


class Passfiles:
    """The files beside one data folder. `account` (uid, gid) runs the server, when we are root."""

    def __init__(self, data: Path, logins: tuple[str, ...]) -> None:
        self._data = data
        self._logins = logins
        self.owner = data.with_suffix(".pass")

    def of(self, user: str) -> Path:
        """The file with a user's password."""
        return self.owner if user == SUPERUSER else self._data.with_name(f"{self._data.name}-{user}.pass")

    def password(self, user: str) -> str:
        """What stands there."""
        return _lines(self.of(user))[user]

    def renew_owner(self) -> None:
        """Make a new password for the superuser of a new cluster; those of a former cluster are forgotten."""
        for user in (SUPERUSER, *self._logins):
            self.of(user).unlink(missing_ok=True)
        _write(self.owner, SUPERUSER, secrets.token_hex(24))

    def settle(self, account: tuple[int, int] | None) -> None:
        """Give each login its file, taking over what earlier versions kept in the superuser's, and close all files."""
        known = _lines(self.owner)
        for login in self._logins:
            if not self.of(login).exists():
                _write(self.of(login), login, known.get(login) or secrets.token_hex(24))
            self.of(login).chmod(0o600)
        if len(known) > 1:
            _write(self.owner, SUPERUSER, known[SUPERUSER])
        self.owner.chmod(0o600)  # clients ignore it otherwise
        if account is not None:
            os.chown(self.owner, *account)


def _lines(file: Path) -> dict[str, str]:
    """Password by user."""
    parts = [line.rsplit(":", 2) for line in file.read_text().splitlines()]
    return {part[1]: part[2] for part in parts}


def _write(file: Path, user: str, password: str) -> None:
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(f"127.0.0.1:*:*:{user}:{password}\n")
    unfinished.replace(file)
