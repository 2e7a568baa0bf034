"""The stack's folder is nobody else's: folders 0700, files 0600, those of earlier versions too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

UMASK = 0o077
_OTHERS = 0o077
_FOLDERS = ("dagster", "logs", "sandbox", "temporal")
_SUFFIXES = (".json", ".key", ".lock", ".log", ".new", ".pass")


def close_home(home: Path, server_group: int | None) -> None:
    """Take from `home`, and from what the stack made in it, what others may do.

    `server_group` is the group of the account that runs PostgreSQL when we are root: it may pass through `home` to its
    data, and read nothing. PostgreSQL closes its data itself. Files the stack didn't make are left alone.
    """
    if home.stat().st_uid == os.geteuid():
        if server_group is not None and not (home / "postgres").is_symlink():
            os.chown(home, -1, server_group)
            home.chmod(0o710)
        else:
            home.chmod(0o700)
    for path in _made_in(home):
        state = path.lstat()
        if state.st_mode & _OTHERS and state.st_uid == os.geteuid():
            path.chmod(state.st_mode & 0o7700)


def _made_in(home: Path) -> Iterator[Path]:
    for entry in home.iterdir():
        if entry.is_symlink():
            continue
        if entry.is_file() and entry.suffix in _SUFFIXES:
            yield entry
        elif entry.is_dir() and entry.name in _FOLDERS:
            yield entry
            for folder, folders, files in os.walk(entry):
                below = (Path(folder, name) for name in (*folders, *files))
                yield from (path for path in below if not path.is_symlink())
