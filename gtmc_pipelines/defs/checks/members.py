"""Check of groups: no member of one (a mailbox) is left out of sync after sync."""

from __future__ import annotations

from gtmc_pipelines.defs.checks.evidence import Evidence, Subject
from gtmc_pipelines.defs.checks.verdict import Finding, Verdict

LEFT_OUT_SYNCS = 3
"""A member may be down for a while; after so many syncs in a row somebody should know."""


def left_out_members(evidence: Evidence, subject: Subject) -> Verdict:
    """No slice was left out three syncs in a row, but those the vendor has never served."""
    found = [each for each in evidence.left_out if each.stream in subject.stream_names]
    findings = [
        Finding(
            each.tenant_id,
            f"{each.slices:,} left out as `{each.reason_code}`, up to {each.syncs_in_a_row} syncs in a row.",
            each.sentence,
            each.stream,
        )
        for each in found
    ]
    return Verdict(
        len(evidence.connectors),
        findings,
        note="No member of a group is left out again and again.",
        numbers={"left_out": sum(each.slices for each in found)},
    )
