"""What must hold (issue 2, "Speed and memory to reach"), judged on medians of interleaved rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Rounds = Mapping[str, Sequence[Mapping[str, Mapping[str, Any]]]]
"""Results by the name of the run, one entry a round, each with `first` and `again`."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One demand and how it came out."""

    name: str
    value: float
    limit: float
    is_at_most: bool = True
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        """Whether it holds."""
        return self.value <= self.limit if self.is_at_most else self.value >= self.limit

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        kind = "at_most" if self.is_at_most else "at_least"
        return {"name": self.name, "value": round(self.value, 3), kind: self.limit, "is_met": self.is_met}


def middle(rounds: Rounds, run: str, load: str, key: str) -> float:
    """The median over the rounds."""
    return float(median(found[load][key] for found in rounds[run]))


def judge(rounds: Rounds) -> list[Bound]:
    """Every demand that the runs at hand can answer."""
    bounds = []
    for run in [name for name in rounds if name != "reference"]:
        if "reference" in rounds:
            ratio = middle(rounds, run, "first", "total_us") / middle(rounds, "reference", "first", "total_us")
            bounds.append(Bound(f"{run}: CPU per record against the reference", ratio, 2.0))
        speed = middle(rounds, run, "again", "per_second") / middle(rounds, run, "first", "per_second")
        if run == "write_path":  # over HTTP the sandbox's own speed would be measured
            bounds.append(Bound(f"{run}: records a second, unchanged against first", speed, 3.0, is_at_most=False))
        bounds.append(Bound(f"{run}: rows rewritten when unchanged", middle(rounds, run, "again", "rewritten"), 0))
        bounds.append(Bound(f"{run}: resident memory", middle(rounds, run, "again", "rss_mb"), 200, unit="MB"))
    return bounds
