"""Where PostgreSQL may run when we are root: an ordinary account, and folders that account can reach.

PostgreSQL refuses to run as root. No account is created and no permission of an existing folder is widened: when a
parent folder is closed to the account, data and programs go to a folder of our own outside it.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gtmc_pipelines.model.errors import Misuse


@dataclass(frozen=True)
class ServerPlace:
    """Programs, data folder and account of one server; `user` is None when we are not root."""

    programs: Path
    data: Path
    user: tuple[int, int] | None


def place_for(data: Path, installation: Path) -> ServerPlace:
    """Decide where a server with data folder `data` runs; creates the (empty) data folder, mode 0700.

    `installation` is the folder with bin/, lib/ and share/. When data live outside `data`, that path holds a
    symbolic link to them, so that the next start finds them again.
    """
    if os.geteuid() != 0:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ServerPlace(installation / "bin", data, None)
    user = account_for(data)
    if not _can_run(installation / "bin" / "postgres", user):
        installation = _copied(installation, user)
    if data.is_symlink():
        _outside(data, user)
    else:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _can_enter(data.parent, user):
            data.rmdir() if not any(data.iterdir()) else _refuse(data)
            outside = _outside(data, user) / "data"
            shutil.rmtree(outside, ignore_errors=True)  # of a home that was deleted: nothing leads to it any more
            data.symlink_to(outside)
    real = data.resolve()
    real.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(real, *user)
    return ServerPlace(installation / "bin", real, user)


def remove_outside(original: Path) -> None:
    """Remove the folder of ours that stands in for `original`, if there is one."""
    for parent in _outside_parents():
        folder = parent / _outside_name(original)
        if folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.geteuid():
            shutil.rmtree(folder)


def account_for(data: Path) -> tuple[int, int]:
    """Who runs a server when we are root: the owner of existing data, else `postgres`, else `nobody`."""
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise Misuse(
        "no_server_account",
        "PostgreSQL refuses to run as root and this machine has neither a `postgres` nor a `nobody` account.",
        next_step="Run as an ordinary user, or set GTMC_DATABASE_URL.",
    )


def _can_run(program: Path, user: tuple[int, int]) -> bool:
    return _probe([str(program), "--version"], user)


def _can_enter(folder: Path, user: tuple[int, int]) -> bool:
    return _probe(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], user)


def _probe(command: list[str], user: tuple[int, int]) -> bool:
    try:
        done = subprocess.run(  # noqa: S603  fixed programs, no shell
            command, cwd="/", user=user[0], group=user[1], extra_groups=[], env={}, capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _copied(installation: Path, user: tuple[int, int]) -> Path:
    """A copy of the programs that `user` can read, made once for each edition, with the libraries beside them."""
    place = _outside(installation, user)
    package = installation.parent
    marker, edition = place / "complete", str(package.stat().st_mtime_ns)
    if not (marker.exists() and marker.read_text() == edition):
        for folder in (package, package.with_name(package.name + ".libs")):  # the wheel's programs look for them there
            if folder.is_dir():
                shutil.rmtree(place / folder.name, ignore_errors=True)
                shutil.copytree(folder, place / folder.name, symlinks=True)
                _open_for_reading(place / folder.name)
        marker.write_text(edition)
    return place / package.name / installation.name


def _open_for_reading(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))


def _outside(original: Path, user: tuple[int, int]) -> Path:
    """A folder of ours, reachable by `user`, whose name follows from `original`."""
    for parent in _outside_parents():
        if not parent.is_dir() or not _can_enter(parent, user):
            continue
        folder = parent / _outside_name(original)
        folder.mkdir(mode=0o755, exist_ok=True)
        folder_state = folder.lstat()
        if stat.S_ISDIR(folder_state.st_mode) and folder_state.st_uid == 0:
            folder.chmod(0o755)
            return folder
    raise Misuse(
        "no_reachable_folder",
        f"The account that runs PostgreSQL can't reach {original} and there is no folder of ours that it could.",
        next_step="Run as an ordinary user, or set GTMC_HOME to a folder every account can enter.",
    )


def _outside_parents() -> tuple[Path, ...]:
    return Path("/var/tmp"), Path(tempfile.gettempdir())  # noqa: S108  whose the folder is gets checked


def _outside_name(original: Path) -> str:
    return "gtmc-" + hashlib.sha256(str(original.absolute()).encode()).hexdigest()[:16]


def _refuse(data: Path) -> None:
    raise Misuse(
        "data_unreachable",
        f"The PostgreSQL data in {data} can't be reached by the account that runs the server.",
        next_step="Make its parent folders enterable (chmod o+x), or move the data away to start afresh.",
    )
