"""Attempts of one kind made and counted: forms tried, and each that came through with the words to repeat it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gtmc_pipelines_tests.attack.attempt import Kind, dice_of
from gtmc_pipelines_tests.attack.stage import Stage

_MOST_TOLD = 20


@dataclass
class Tally:
    """What became of a kind's attempts. `through` are numbers (None: seen at the end only), forms and what happened."""

    kind: Kind
    attacks: int = 0
    seconds: float = 0.0
    forms: Counter[str] = field(default_factory=Counter)
    through: list[tuple[int | None, str, str]] = field(default_factory=list)

    def told(self, seed: int) -> list[str]:
        """A line for each that came through, with the command that repeats it."""
        again = f"python -m gtmc_pipelines_tests.attack --seed {seed} --kinds {self.kind.name}"
        lines = [
            f"THROUGH: {self.kind.name}, {form}: {what}. Again: {again}"
            + ("" if number is None else f" --number {number}")
            for number, form, what in self.through[:_MOST_TOLD]
        ]
        more = len(self.through) - len(lines)
        return [*lines, *([f"… and {more} more of {self.kind.name}."] if more > 0 else [])]


def tried(
    kind: Kind, stage: Stage, seed: int, numbers: Iterable[int], advance: Callable[[], object] = lambda: None
) -> Tally:
    """Make the attempts with these numbers. What raises out of one counts as through: a defence refuses in words."""
    tally, started = Tally(kind), time.monotonic()
    with kind.opened(stage) as attack:
        for number in numbers:
            try:
                one = attack.attempt(dice_of(seed, kind.name, number))
                form, what = one.form, one.through
            except Exception as error:  # noqa: BLE001 - whatever it is, the attempt is not repelled
                form, what = "?", f"{type(error).__name__}: {error}"
            tally.attacks += 1
            tally.forms[form] += 1
            if what is not None:
                tally.through.append((number, form, what))
            advance()
        tally.through += [(None, "aftermath", damage) for damage in attack.aftermath()]
    tally.seconds = time.monotonic() - started
    return tally
