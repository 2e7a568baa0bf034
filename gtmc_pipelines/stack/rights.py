"""Gives up what root may do beyond opening its own files: every capability, for good, in a child about to be a program.

Started as root, the stack's processes still have root's name, so they read and write the stack's folder; but another
account's files, PostgreSQL's data and its superuser's password among them, are closed to them as to anybody.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_MOST_CAPABILITIES = 64
_VERSION_3 = 0x20080522  # of capset's header: two words for each of effective, permitted, inheritable
_TRY = "import os, sys, gtmc_pipelines; sys.exit(not os.access(sys.argv[1], os.R_OK | os.W_OK | os.X_OK))"


def give_up() -> None:
    """Between fork and exec: leave no capability to this process, nor to any program it will become or start.

    Raises OSError when the kernel doesn't let us.
    """
    if _LIBC is None:
        return
    for number in range(_MOST_CAPABILITIES):
        if _LIBC.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            _require(_LIBC.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0))
    _LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _require(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _require(_LIBC.capset((ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()))


def is_root() -> bool:
    """Whether we have rights to give up. On other systems than Linux root's are one and can't be."""
    return _LIBC is not None and os.geteuid() == 0


@cache
def can_be_given_up(folder: Path) -> bool:
    """Whether we are root, and a process without its rights could run our programs and write to `folder`.

    It can't where the programs or the folder belong to another account, as with `sudo` in one's home.
    """
    if not is_root():
        return False
    try:
        done = subprocess.run(  # noqa: S603  fixed program, no shell
            [sys.executable, "-c", _TRY, str(folder)], cwd="/", preexec_fn=give_up, capture_output=True, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _require(answer: int) -> None:
    if answer != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
