"""A socket's path fits, whatever the folder, and nobody else's folder is taken for ours."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack import sockets
from gtmc_pipelines.stack.sockets import MOST_PATH_BYTES, socket_for


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The one folder in which a short one may be made."""
    folder = Path(tempfile.mkdtemp(prefix="g-", dir="/tmp"))
    monkeypatch.setattr(sockets, "_short_folders", lambda: (folder,))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("length", [0, 50, 100, 300, 1_000])
@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_path_always_fits_and_stays_the_same(length: int, letter: str) -> None:
    wanted = Path("/", *([letter * 50] * (length // 50)), "code-server.sock")
    found = socket_for(wanted)
    assert len(os.fsencode(found)) <= MOST_PATH_BYTES
    assert found == socket_for(wanted)
    if found != wanted:
        assert found.parent.stat().st_mode & 0o077 == 0
        assert found != socket_for(wanted.parent / "other" / wanted.name)


def test_a_folder_others_can_enter_or_a_link_is_never_used(short: Path) -> None:
    wanted = Path("/", "a" * 200, "code-server.sock")
    folder = socket_for(wanted).parent
    folder.chmod(0o755)
    with pytest.raises(Misuse, match="shorter path"):
        socket_for(wanted)
    folder.rmdir()
    folder.symlink_to(short)
    with pytest.raises(Misuse, match="shorter path"):
        socket_for(wanted)
