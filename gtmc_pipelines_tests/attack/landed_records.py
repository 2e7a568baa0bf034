"""Attacks by records: hostile texts and keys through landing into raw, canonical rows and dead letters.

Each record ends as a row that says what the vendor said, or as a dead letter; none takes its neighbour along.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.shown_values import CONTROLS, MARKUP
from gtmc_pipelines_tests.attack.stage import Stage
from gtmc_pipelines_tests.storage.write_scene import Scene, record

_SQL = (
    "'; DROP TABLE people; --",
    "\\",
    "\\.",
    "\\N",
    "$$",
    "%s",
    "\t",
    "{1,2}",
    "\"'",
    "NULL",
    "' OR '1'='1",
    "\\x00",
    "E'\\\\'",
)
_LONG = ("a" * 20_000, "é" * 3_000)


class RecordAttack:
    """Writes one hostile record and a healthy neighbour in one batch."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._number = self._letters = 0

    def attempt(self, dice: Random) -> Tried:
        """One batch."""
        self._number += 1
        text = "".join(dice.choice((*MARKUP, *CONTROLS, *_SQL, "Acme ", "é")) for _ in range(dice.randrange(1, 6)))
        text = dice.choice(_LONG) if dice.random() < 0.05 else text
        form = dice.choice(("text", "key", "document"))
        key = f"h{self._number}" if form != "key" else f"{self._number}{text}"
        hostile = record(key, title=text, first_name=text)
        if form == "document":
            hostile = record(key, title="x", nested={text: [text, {"a": text}]})
        neighbour = f"n{self._number}"
        self._scene.write(hostile, record(neighbour, title="Neighbour"))
        return Tried(form, self._found(key, neighbour, text, form))

    def aftermath(self) -> list[str]:
        """None: each batch is looked at."""
        return []

    def _found(self, key: str, neighbour: str, text: str, form: str) -> str | None:
        newest = "SELECT external_id, title FROM people ORDER BY created_at DESC LIMIT 4"
        people = {row["external_id"]: row["title"] for row in self._scene.select(newest)}
        (count,) = self._scene.select("SELECT count(*) AS letters FROM dead_letters")
        before, self._letters = self._letters, count["letters"]
        if people.get(neighbour) != "Neighbour":
            return "the neighbour isn't written"
        if key in people:
            return f"another text is stored: {text!r}" if form in {"text", "key"} and people[key] != text else None
        return None if self._letters > before else "it is neither a row nor a dead letter"


@contextmanager
def _opened(stage: Stage) -> Iterator[RecordAttack]:
    yield RecordAttack(Scene(stage.database, stage.new_tenant("records")))


KIND = Kind("records", "a record costs its neighbour, is changed, or vanishes", 1_000, 40, _opened)
