"""Attacks by a file of connectors: paths that leave the folders it may refer to, and variables it may not name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from gtmc_pipelines.cli.declared.references import Reach, Unreachable
from gtmc_pipelines.settings import Settings, variable_of
from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.stage import Stage

_STEPS = (
    *("..", "..", ".", "", "keys", ".gtmc", "files", "private", "secrets", "out", "up", "home", "in", "round", "hard"),
    *(
        "a.key",
        "a.key",
        "a.key",
        "encryption.key",
        "~",
        "files-beside",
        "proc",
        "self",
        "environ",
        "cwd",
        "root",
        "%2e%2e",
        "..\\",
    ),
)
_ROUTES = (
    *("out/a.key", "up/private/a.key", "home/encryption.key", ".gtmc/encryption.key", "../private/a.key", "hard"),
    *("in/../../private/a.key", "../files-beside/a.key", "keys/up/private/a.key", "keys/out/encryption.key"),
)
_FOREIGN = ("AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "HOME", "PATH", "DAGSTER_PG_URL", "gtmc_secret_x", "GTMC_SECRET", "")


class ReferenceAttack:
    """A folder the file stands in, one of secrets, and others that hold what must not be read."""

    def __init__(self, root: Path) -> None:
        self._root, self._home = root, root / "files" / ".gtmc"
        for name in ("files/keys", "files/.gtmc", "secrets", "private", "files-beside"):
            (root / name).mkdir(parents=True)
            for file in ("a.key", "encryption.key"):
                allowed = name in {"files/keys", "secrets"}
                (root / name / file).write_text("may be read" if allowed else f"must not be read: {name}")
        links = {"out": "private", "up": "", "home": "files/.gtmc", "in": "files/keys", "round": "files/round"}
        for link, target in links.items():
            for folder in ("files", "files/keys", "secrets"):
                (root / folder / link).symlink_to(root / target)
        os.link(root / "private" / "a.key", root / "files" / "hard")
        self._reaches = (Reach(root / "files", self._home), Reach(root / "files", self._home, root / "secrets"))
        self._reaches += (
            Reach(None, self._home),
            Reach(None, self._home, root / "secrets"),
            Reach(self._home, self._home),
        )

    def attempt(self, dice: Random) -> Tried:
        """One path, or one variable."""
        reach = dice.choice(self._reaches)
        if dice.random() < 0.2:
            variable = dice.choice((*_FOREIGN, *map(variable_of, Settings.model_fields)))
            return Tried("variable", f"{variable} may be named" if reach.may_name(variable) else None)
        place = self._route(dice) if dice.random() < 0.5 else self._walk(dice)
        try:
            text = reach.text_of(place)
        except Unreachable as refused:
            return Tried("path", "the refusal tells what is there" if "must not" in str(refused) else None)
        return Tried("path", None if text == "may be read" else f"{place!r} was read")

    def _route(self, dice: Random) -> str:
        """A way that leads out, were it not refused, written in one way or another."""
        start = dice.choice(("", "", f"{self._root}/files/", "keys/../", "./"))
        way = start + dice.choice(_ROUTES)
        return "".join(dice.choice(("/", "/", "//", "/./")) if part == "/" else part for part in way)

    def _walk(self, dice: Random) -> str:
        """Steps at random."""
        steps = dice.choices(_STEPS, k=dice.randrange(1, 8))
        start = dice.choice(("", "", "", f"{self._root}/", "/", "file://", f"{self._root}/files/"))
        return start + "/".join(steps) + dice.choice(("", "", "", "/a.key", "/encryption.key", "\0", "\n", " "))

    def aftermath(self) -> list[str]:
        """None: what is read is seen at once."""
        return []


@contextmanager
def _opened(_stage: Stage) -> Iterator[ReferenceAttack]:
    with tempfile.TemporaryDirectory(prefix="gtmc-references-") as folder:
        yield ReferenceAttack(Path(folder).resolve())


KIND = Kind("references", "a file of connectors reads what it may not refer to", 5_000, 300, _opened)
