"""What an attack is: one attempt at a time, each from dice of its own, and what it damaged in the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from typing import Protocol

from gtmc_pipelines_tests.attack.stage import Stage


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt: the form it took, and how it came through (None: repelled). Neither repeats a secret."""

    form: str
    through: str | None = None


class Attack(Protocol):
    """One kind of attack, ready to be tried. The same dice make the same attempt."""

    def attempt(self, dice: Random) -> Tried:
        """Try once, and leave everything as it was for the next."""
        ...

    def aftermath(self) -> list[str]:
        """Damage that only shows when all is over, a sentence each."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of attack: what would be a success, and how often it is tried in the whole suite and in the short form."""

    name: str
    success: str
    attempts: int
    few: int
    opened: Callable[[Stage], AbstractContextManager[Attack]]


def dice_of(seed: int, kind: str, number: int) -> Random:
    """The dice of one attempt: no other attempt has a say in them, so each can be repeated alone."""
    return Random(f"{seed}/{kind}/{number}")
