"""Unix sockets that only our account can reach: in the stack's folder, or in a short one if that path is too long."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
from pathlib import Path

from gtmc_pipelines.model.errors import Misuse

MOST_PATH_BYTES = 100  # of 107 on Linux and 103 on macOS, with room for what a server appends


def socket_for(wanted: Path) -> Path:
    """`wanted`, or when its path is too long for a socket the same name in a folder of ours, closed to others.

    The same `wanted` always gives the same path. Raises Misuse when no folder for it can be had.
    """
    wanted = wanted.absolute()
    if len(os.fsencode(wanted)) <= MOST_PATH_BYTES:
        return wanted
    name = f"gtmc-{os.geteuid()}-{hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]}"
    for parent in _short_folders():
        folder = parent / name
        if len(os.fsencode(folder / wanted.name)) <= MOST_PATH_BYTES and _is_ours(folder):
            return folder / wanted.name
    raise Misuse(
        "no_socket_folder",
        f"A socket can't be made for {wanted.parent}: its path is too long, and no short folder can be had.",
        next_step="Set GTMC_HOME to a folder with a shorter path.",
    )


def answers_socket(path: Path) -> bool:
    """Whether a connection to the Unix socket at `path` is accepted within half a second."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _short_folders() -> tuple[Path, ...]:
    return Path(tempfile.gettempdir()), Path("/tmp")  # noqa: S108  whose the folder is gets checked


def _is_ours(folder: Path) -> bool:
    """Make the folder, mode 0700; False when one of that name is somebody else's or open to others."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & 0o077
