"""Checks against the vendor: what is stored is what it has, by the comparison each sync makes once a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from gtmc_pipelines.defs.checks.evidence import Evidence, Subject
from gtmc_pipelines.defs.checks.verdict import Finding, Verdict

if TYPE_CHECKING:
    from gtmc_pipelines.storage.comparisons import Comparison

OLD = timedelta(days=3)
"""A comparison that is older says nothing about today; the check `freshness` says why there is no newer one."""


def matches_vendor(evidence: Evidence, subject: Subject) -> Verdict:
    """Nothing is missing here that the vendor has, and nothing is live here that it no longer has."""
    found = [one for one in _of(evidence, subject) if evidence.now - one.compared_at < OLD]
    findings = [finding for one in found if (finding := _finding(evidence, one)) is not None]
    numbers = {
        "vendor_records": sum(one.vendor or 0 for one in found),
        "stored_records": sum(one.ours or 0 for one in found),
        "difference": sum((one.lost or 0) + (one.extra or 0) for one in found),
        "lost": sum(one.lost or 0 for one in found),
        "extra": sum(one.extra or 0 for one in found),
    }
    return Verdict(
        len({one.tenant_id for one in found}),
        findings,
        note="What is stored is what the vendor has."
        if found
        else "Nothing was compared yet: each sync does once a day.",
        numbers=numbers,
    )


def not_visible(evidence: Evidence, subject: Subject) -> Verdict:
    """No record counts as deleted only because the connected user can't see it any more."""
    hidden = [one for one in _of(evidence, subject) if one.not_visible]
    findings = [
        Finding(
            one.tenant_id,
            f"{one.not_visible:,} records are in no answer of the vendor, not even by id: marked `not_visible`.",
            "They were deleted for good, or the connected user lost sight of them: then give it View All Data and "
            "run a full sync, which brings them back.",
            one.stream,
        )
        for one in hidden
    ]
    return Verdict(
        len({one.tenant_id for one in _of(evidence, subject)}),
        findings,
        note="Nothing is hidden.",
        numbers={"not_visible": sum(one.not_visible or 0 for one in hidden)},
    )


def _of(evidence: Evidence, subject: Subject) -> Sequence[Comparison]:
    return [one for one in evidence.comparisons if one.stream in subject.stream_names]


def _finding(evidence: Evidence, one: Comparison) -> Finding | None:
    again = f"`gtmc sync --tenant {one.tenant_id} --connector {evidence.connector} --stream {one.stream} --full`"
    if one.problem:
        seen = f"the vendor could not be asked (`{one.problem}`)."
        return Finding(one.tenant_id, seen, "The next day tries again.", one.stream)
    parts = []
    if one.lost:
        parts.append(f"{one.lost:,} that the vendor has are not live here")
    if one.extra:
        parts.append(f"{one.extra:,} that are live here the vendor no longer has")
    if not parts:
        return None
    seen = f"{' and '.join(parts)} ({one.scope}, {one.compared_at:%Y-%m-%d %H:%M} UTC)."
    remedy = f"Run a full sync: {again}. If the number stays, see dead letters and erased people, then report it."
    return Finding(one.tenant_id, seen, remedy, one.stream)
