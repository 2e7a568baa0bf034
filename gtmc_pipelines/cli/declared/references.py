"""Secrets that a connector file refers to: which files and variables it may name, and how they are read.

The file may be somebody else's. So a path leads below the file's own folder or below `--secrets-dir`, never into our
own home folder, and a variable is one whose name says that it is there to be referred to, or one that was allowed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gtmc_pipelines.cli.text_files import decoded
from gtmc_pipelines.model.secret_variables import PREFIX, is_for_secrets
from gtmc_pipelines.settings import environment_secret, is_setting
from gtmc_pipelines.vault.secret import Secret

_LONGEST = 4096  # characters; keys are far shorter
_SYSTEM = tuple(map(Path, ("/proc", "/sys", "/dev")))


class Unreachable(Exception):
    """A reference that leads nowhere (`is_absent`) or where it may not; the text says which, never what is there."""

    is_absent = False


class Absent(Unreachable):
    """One that leads nowhere: stored keys stay then."""

    is_absent = True


@dataclass(frozen=True, slots=True)
class Reach:
    """What a file may refer to. `folder` is its own, None for a file from stdin; `home` is ours and out of reach."""

    folder: Path | None
    home: Path
    secrets_dir: Path | None = None
    variables: frozenset[str] = frozenset()

    def may_name(self, variable: str) -> bool:
        """Whether a variable may be referred to; one of our own settings never."""
        return not is_setting(variable) and (is_for_secrets(variable) or variable in self.variables)

    def text_of(self, place: str) -> str:
        """The text of a file, links resolved before anything is compared. Raises Unreachable."""
        for root in self._roots():
            wanted = root / place
            try:
                found = wanted.resolve(strict=True)
            except (OSError, RuntimeError, ValueError):  # RuntimeError: links in a circle; ValueError: a NUL
                continue
            self._check(found, place)
            return _read(found, wanted, place)
        raise _unreadable(place)

    def _roots(self) -> Iterator[Path]:
        yield from (root for root in (self.folder, self.secrets_dir) if root is not None)

    def _check(self, found: Path, place: str) -> None:
        if not any(found.is_relative_to(root.resolve()) for root in self._roots()):
            raise Unreachable(f"The file {place!r} is neither below this file's folder nor below --secrets-dir.")
        if any(found.is_relative_to(part) for part in _SYSTEM):
            raise Unreachable(f"The file {place!r} is one of the system's own.")
        if any(_is_same(part, self.home) for part in (found, *found.parents)):
            raise Unreachable(f"The file {place!r} is in the home folder of gtmc, which nothing may refer to.")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a secret is to be found: a variable or a file. `line` is where the file says so."""

    kind: str  # env or file
    place: str
    line: int
    column: int
    reach: Reach

    def resolve(self) -> Secret:
        """The secret, stripped. Raises Unreachable when the variable isn't set, or the file isn't there or not text."""
        if self.kind == "file":
            text = self.reach.text_of(self.place)
        else:
            found = environment_secret(self.place)
            text = found.get_secret_value() if found is not None else ""
        if not text.strip():
            raise Absent(f"The variable {self.place} is not set.") if self.kind == "env" else _unreadable(self.place)
        return Secret(text.strip())

    @property
    def shown(self) -> str:
        """For the plan: the place, never the value."""
        return f"variable {self.place}" if self.kind == "env" else f"file {self.place}"


def advice_on_variable(variable: str) -> str:
    """The fault of a variable that may not be named."""
    if is_setting(variable):
        return "This is a variable of gtmc's own, and no vendor's key."
    return f"Name a variable that starts with {PREFIX}, or allow this one with --allow-env."


def _read(found: Path, wanted: Path, place: str) -> str:
    """Read a regular file that has one name only: another name of it may be anywhere."""
    try:
        descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise _unreadable(place) from None
    try:
        kept = os.fstat(descriptor)
        if not stat.S_ISREG(kept.st_mode):
            raise Unreachable(f"{place!r} is no plain file.")
        if kept.st_nlink != 1:
            raise Unreachable(f"The file {place!r} has more than one name (hard links); refer to a copy of it.")
        if wanted.resolve(strict=True) != found or not os.path.samestat(kept, found.stat()):
            raise _unreadable(place)  # it was exchanged meanwhile
        return decoded(os.read(descriptor, 4 * _LONGEST))[:_LONGEST]
    except (OSError, RuntimeError, UnicodeDecodeError):
        raise _unreadable(place) from None
    finally:
        os.close(descriptor)


def _is_same(part: Path, home: Path) -> bool:
    try:
        return part.samefile(home)
    except OSError:
        return False


def _unreadable(place: str) -> Absent:
    return Absent(f"The file {place!r} can't be read or is empty.")
