"""What a check found: how many tenants it looked at, which ones are affected, and how bad that is."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from gtmc_pipelines.defs import showing

MANY_TENANTS = 5
LARGE_SHARE = 0.05
_ROWS_SHOWN = 20
_COLUMNS = ("tenant", "stream", "what was seen", "what to do")


@dataclass(frozen=True, slots=True)
class Finding:
    """One tenant (and stream) that is affected: what was seen, and what to do, without personal data."""

    tenant: str
    seen: str
    remedy: str = ""
    stream: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Answer of one check for one asset. `looked_at` is a number of `units`; `numbers` plot over time.

    `note` is said when nothing is wrong. `is_severe` makes it an error whatever the share, `is_mild` a warning.
    """

    looked_at: int
    findings: Sequence[Finding] = ()
    note: str = ""
    units: str = "tenants"
    is_severe: bool = False
    is_mild: bool = False
    numbers: Mapping[str, int | float] = field(default_factory=dict)

    @property
    def affected(self) -> int:
        """How many tenants are affected."""
        return len({finding.tenant for finding in self.findings})

    @property
    def severity(self) -> dg.AssetCheckSeverity:
        """Error when it is our bug or most tenants have it; a warning when it is a few tenants' own matter."""
        if self.is_mild:
            return dg.AssetCheckSeverity.WARN
        most = 2 * self.affected >= self.looked_at
        many = self.affected > MANY_TENANTS and self.affected > LARGE_SHARE * self.looked_at
        return dg.AssetCheckSeverity.ERROR if self.is_severe or most or many else dg.AssetCheckSeverity.WARN

    @property
    def sentence(self) -> str:
        """One sentence, with the first cause and its remedy."""
        if not self.findings:
            return self.note or f"All is well: {self.looked_at:,} {self.units} looked at."
        first = self.findings[0]
        place = f"{first.tenant}, {first.stream}" if first.stream else first.tenant
        head = f"{self.affected:,} of {self.looked_at:,} {self.units}. {place}: {first.seen}"
        return f"{head} {first.remedy}".strip()


def evaluation(key: dg.AssetKey, name: str, verdict: Verdict) -> dg.AssetCheckEvaluation:
    """The verdict as Dagster stores it."""
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "looked_at": dg.MetadataValue.int(verdict.looked_at),
        "affected": dg.MetadataValue.int(verdict.affected),
    }
    for label, number in verdict.numbers.items():
        is_whole = isinstance(number, int)
        metadata[label] = dg.MetadataValue.int(int(number)) if is_whole else dg.MetadataValue.float(float(number))
    if verdict.findings:
        metadata |= _table(verdict.findings)
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=not verdict.findings,
        severity=verdict.severity,
        description=showing.description(verdict.sentence),
        metadata=metadata,
    )


def unanswered(key: dg.AssetKey, name: str, error: Exception) -> dg.AssetCheckEvaluation:
    """What Dagster stores of a check that ended in an unexpected exception: where, but not its words, which may
    quote data.
    """
    where = "".join(traceback.format_tb(error.__traceback__)).splitlines()
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"This check met an unexpected {type(error).__name__}, which is our bug: report it with the place.",
        metadata={"place": showing.table(("place",), ([line] for line in where))},
    )


def summary(evaluations: Sequence[dg.AssetCheckEvaluation]) -> str:
    """One line for the end of a run's log, where the list of events opens: how many passed, and which did not."""
    failed = Counter(evaluation.check_name for evaluation in evaluations if not evaluation.passed)
    if not failed:
        return f"All {len(evaluations)} checks passed."
    named = ", ".join(
        f"{name} on {count} {'asset' if count == 1 else 'assets'}" for name, count in sorted(failed.items())
    )
    return f"{len(evaluations) - failed.total()} of {len(evaluations)} checks passed; failed: {named}."


def _table(findings: Sequence[Finding]) -> dict[str, dg.MetadataValue[Any]]:
    """The first findings as a table, without columns that nothing is in, and how many more there are."""
    rows = [(found.tenant, found.stream, found.seen, found.remedy) for found in findings[:_ROWS_SHOWN]]
    used = [number for number in range(len(_COLUMNS)) if any(row[number] for row in rows)]
    told = showing.table([_COLUMNS[number] for number in used], ([row[number] for number in used] for row in rows))
    more = len(findings) - _ROWS_SHOWN
    return {"findings": told} | ({"more_findings": dg.MetadataValue.int(more)} if more > 0 else {})
