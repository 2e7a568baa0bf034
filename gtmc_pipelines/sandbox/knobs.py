"""Fault knobs: which faults are switched on, for whom, how often; and the dice that decide each time."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.sandbox.options import SandboxMisuse

_WHO = ("id", "fault", "vendor", "org", "method", "path")
_OFTEN = ("count", "probability", "every", "after")


@dataclass(slots=True)
class Knob:
    """One fault switched on.

    Who: `vendor`, `org`, `method`, and `path` (regular expression searched in the path); None means any.
    How often: skip the first `after` chances, then every `every`-th, each with `probability`, at most
    `count` times (None: without end). `parameters` belong to the fault.
    """

    id: str
    fault: str
    vendor: str | None = None
    org: str | None = None
    method: str | None = None
    path: re.Pattern[str] | None = None
    count: int | None = None
    probability: float = 1.0
    every: int = 1
    after: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    chances: int = 0
    fired: int = 0
    dice: random.Random = field(default_factory=random.Random)

    def concerns(self, vendor: str, org: str | None, method: str, path: str) -> bool:
        """Whether a request is one this knob is for."""
        return (
            self.vendor in (None, vendor)
            and self.org in (None, org)
            and self.method in (None, method)
            and (self.path is None or self.path.search(path) is not None)
        )

    def strikes(self) -> bool:
        """Take one chance: whether the fault happens this time."""
        if self.count is not None and self.fired >= self.count:
            return False
        self.chances += 1
        if self.chances <= self.after or (self.chances - self.after) % self.every:
            return False
        if self.probability < 1 and self.dice.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """The knob as it was given, with `chances` and `fired` so far."""
        shown: dict[str, Any] = {name: getattr(self, name) for name in (*_WHO, *_OFTEN)}
        shown["path"] = self.path.pattern if self.path else None
        return {**shown, **self.parameters, "chances": self.chances, "fired": self.fired}


class Knobs:
    """All knobs of a sandbox, asked in the order they were set."""

    def __init__(self, seed: int, known_faults: Iterable[str]) -> None:
        self._seed, self._known = seed, set(known_faults)
        self._knobs: list[Knob] = []
        self._made = 0

    @property
    def any_on(self) -> bool:
        """Whether there is any knob at all."""
        return bool(self._knobs)

    def __iter__(self) -> Iterator[Knob]:
        return iter(self._knobs)

    def learn(self, faults: Iterable[str]) -> None:
        """Accept these faults too."""
        self._known.update(faults)

    def add(self, wish: Mapping[str, Any]) -> Knob:
        """Switch a fault on. Raises SandboxMisuse when the wish can't be understood."""
        knob = self._parse(wish)
        self._knobs = [other for other in self._knobs if other.id != knob.id] + [knob]
        return knob

    def replace(self, wishes: Iterable[Mapping[str, Any]]) -> None:
        """Exactly these knobs from now on; all counters start again. All or nothing."""
        self._knobs = [self._parse(wish) for wish in wishes]

    def remove(self, knob_id: str | None = None) -> int:
        """Switch one knob off, or all; how many went."""
        before = len(self._knobs)
        self._knobs = [knob for knob in self._knobs if knob_id is not None and knob.id != knob_id]
        return before - len(self._knobs)

    def struck(self, fault: str, vendor: str, org: str | None, method: str, path: str) -> Knob | None:
        """The first knob of this fault that happens to this request, or None. Takes chances."""
        for knob in self._knobs:
            if knob.fault == fault and knob.concerns(vendor, org, method, path) and knob.strikes():
                return knob
        return None

    def standing(self, fault: str, vendor: str, org: str | None = None) -> Knob | None:
        """A knob that is simply on (clock skew, for one), without taking a chance."""
        return next(iter(self.all_standing(fault, vendor, org)), None)

    def all_standing(self, fault: str, vendor: str, org: str | None = None) -> list[Knob]:
        """All knobs of a fault that are simply on, in the order they were set."""
        return [
            knob
            for knob in self._knobs
            if knob.fault == fault and knob.vendor in (None, vendor) and knob.org in (None, org)
        ]

    def _parse(self, wish: Mapping[str, Any]) -> Knob:
        fault = wish.get("fault")
        if fault not in self._known:
            raise SandboxMisuse(f"{fault!r} is not a fault; known are {', '.join(sorted(self._known))}.")
        self._made += 1
        path = wish.get("path")
        try:
            return Knob(
                id=str(wish.get("id") or f"knob-{self._made}"),
                fault=str(fault),
                vendor=wish.get("vendor"),
                org=wish.get("org"),
                method=wish.get("method"),
                path=re.compile(str(path)) if path else None,
                count=None if wish.get("count") is None else int(wish["count"]),
                probability=float(wish.get("probability", 1.0)),
                every=max(1, int(wish.get("every", 1))),
                after=int(wish.get("after", 0)),
                parameters={name: value for name, value in wish.items() if name not in (*_WHO, *_OFTEN)},
                dice=random.Random(f"{self._seed}/{self._made}"),  # noqa: S311 - a vendor's bad luck, no secret
            )
        except (TypeError, ValueError, re.error) as error:
            raise SandboxMisuse(f"The knob for {fault!r} is malformed: {error}.") from None
