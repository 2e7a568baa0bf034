"""One test for a rule that each of many files must keep: it names all that don't."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def every(things: Sequence[T]) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Make a test of one thing a test of all of these. Ten thousand tests of a millisecond take minutes to report."""

    def of_all(test: Callable[[T], None]) -> Callable[[], None]:
        def all_keep_it() -> None:
            assert things, "The rule applies to nothing."
            faults = [fault for thing in things if (fault := _fault(test, thing))]
            assert not faults, "\n".join(faults)

        all_keep_it.__name__, all_keep_it.__doc__ = test.__name__, test.__doc__
        return all_keep_it

    return of_all


def _fault(test: Callable[[T], None], thing: T) -> str:
    try:
        test(thing)
    except AssertionError as error:
        return str(error)
    return ""
