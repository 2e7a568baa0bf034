"""What the stack keeps is closed to others, whatever version made it; what it didn't make is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gtmc_pipelines.stack.private_home import close_home


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_an_open_home_of_an_earlier_version_is_closed(home: Path) -> None:
    outside = home.with_name(home.name + "-outside")
    outside.touch()
    outside.chmod(0o644)
    for name in (
        "stack.json",
        "encryption.key",
        "logs/worker.log",
        "dagster/storage/run/1.out",
        "sandbox/keys/a/b.key",
    ):
        (home / name).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        (home / name).touch()
        (home / name).chmod(0o666)
    (home / "logs" / "link.log").symlink_to(outside)
    (home / "notes.txt").touch()
    (home / "notes.txt").chmod(0o644)
    (home / "dagster" / "run.sh").touch()
    (home / "dagster" / "run.sh").chmod(0o755)
    close_home(home, None)
    made = [path for path in home.rglob("*") if path.name != "notes.txt" and not path.is_symlink()]
    assert {_mode(path) for path in made if path.is_dir()} == {0o700}
    assert {_mode(path) for path in made if path.is_file()} == {0o600, 0o700}
    assert (_mode(home), _mode(home / "notes.txt"), _mode(outside)) == (0o700, 0o644, 0o644)
    outside.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another group")
def test_as_root_the_servers_account_passes_through_and_reads_nothing(home: Path) -> None:
    close_home(home, 65_534)
    assert (_mode(home), home.stat().st_gid) == (0o710, 65_534)
    (home / "postgres").symlink_to(home)
    close_home(home, 65_534)
    assert _mode(home) == 0o700, "its data are elsewhere"
