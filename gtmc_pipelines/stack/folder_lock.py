"""A lock on a folder's data, held by us and by the server we start, released when the last of both is gone."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from gtmc_pipelines.model.errors import Misuse

_PREDECESSOR_SECONDS = 5.0  # a server whose parent was killed is just now stopping
_POLL_SECONDS = 0.02


class FolderLock:
    """An exclusive lock on `file`; a child that inherits `descriptor` holds it too."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, file: Path, owner: str) -> FolderLock:
        """Lock `file`, waiting a few seconds for a predecessor that is stopping.

        Raises Misuse saying that another process already runs `owner`.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _PREDECESSOR_SECONDS
        while not _try(descriptor):
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise Misuse(
                    "already_in_use",
                    f"Another process already runs {owner} of {file.parent}.",
                    next_step="Stop that stack first, or set GTMC_HOME to another folder.",
                )
            time.sleep(_POLL_SECONDS)
        return cls(descriptor)

    def release(self) -> None:
        """Give our share up."""
        os.close(self.descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
