"""Checks of numbers: the balance sheet adds up, counts are what they used to be, few records fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from gtmc_pipelines.defs.checks.evidence import Evidence, Subject
from gtmc_pipelines.defs.checks.verdict import Finding, Verdict
from gtmc_pipelines.model.entities import ENTITIES

LOW_SHARE = 0.5
"""A full sync that reads less than this share of its usual number is low."""

FULL_SYNCS_NEEDED = 2
USUAL_RECORDS_NEEDED = 20
EMPTY_SYNCS_IN_A_ROW = 4
INCREMENTAL_SYNCS_NEEDED = 8
FAILED_SHARE = 0.01
SEVERE_FAILED_SHARE = 0.2


def balance_sheet(evidence: Evidence, subject: Subject) -> Verdict:
    """Every record read was created, updated, unchanged, deleted, failed or skipped, in each recent sync."""
    histories = evidence.histories_of(subject)
    findings = [
        Finding(
            history.tenant_id,
            f"{len(history.unbalanced)} of {history.syncs} recent syncs don't add up, the newest is {sync}.",
            f"Run `gtmc syncs show {sync} --tenant {history.tenant_id}` and report it; a full sync puts the data "
            "right.",
            history.stream,
        )
        for history in histories
        for sync in history.unbalanced[:1]
    ]
    syncs = sum(history.syncs for history in histories)
    unbalanced = sum(len(history.unbalanced) for history in histories)
    return Verdict(
        len({history.tenant_id for history in histories}),
        findings,
        note=f"{syncs:,} recent sheets add up." if syncs else "No sync has ended yet.",
        is_severe=True,
        numbers={"sheets": syncs, "unbalanced": unbalanced},
    )


def low_record_count(evidence: Evidence, subject: Subject) -> Verdict:
    """The newest full sync read about as much as earlier ones, and incremental syncs haven't fallen silent."""
    histories = evidence.histories_of(subject)
    findings = []
    for history in histories:
        seen = _low_full(history.full_reads) or _silent(history.incremental_reads)
        if seen:
            remedy = (
                "Incremental syncs may have lost their place: run a full sync of this tenant "
                f"(job `{evidence.connector}_full_sync`), which resets the cursor. If the number stays low, "
                "the vendor's user may have lost access to records."
            )
            findings.append(Finding(history.tenant_id, seen, remedy, history.stream))
    comparable = sum(1 for h in histories if len(h.full_reads) > 1 or len(h.incremental_reads) > 1)
    return Verdict(
        len({history.tenant_id for history in histories}),
        findings,
        note="Counts are what they usually are." if comparable else "Too few syncs to compare yet.",
        numbers={"last_read": sum(history.last_read for history in histories)},
    )


def failed_share(evidence: Evidence, subject: Subject) -> Verdict:
    """Less than one record in a hundred failed in each tenant's newest sync and still waits as a dead letter."""
    histories = evidence.histories_of(subject)
    reasons, open_letters = Counter[tuple[str, str, str]](), Counter[tuple[str, str]]()
    for letter in evidence.letters:
        reasons[letter.tenant_id, letter.stream, letter.reason_code] += letter.letters
        open_letters[letter.tenant_id, letter.stream] += letter.letters
    findings, worst = [], 0.0
    for history in histories:
        failing = min(history.last_failed, open_letters[history.tenant_id, history.stream])
        share = failing / max(history.last_read, 1)
        if share < FAILED_SHARE:
            continue
        worst = max(worst, share)
        seen = f"{failing:,} of {history.last_read:,} records failed ({share:.0%})"
        here = f"--tenant {history.tenant_id} --connector {evidence.connector}"
        why = _most_frequent(reasons, history.tenant_id, history.stream)
        findings.append(
            Finding(
                history.tenant_id,
                f"{seen}, mostly `{why}`." if why else f"{seen}.",
                f"See `gtmc dead-letters list {here}`, correct the mapping or the records at the vendor, then "
                f"`gtmc dead-letters replay {here}`.",
                history.stream,
            )
        )
    read = sum(history.last_read for history in histories)
    failed = sum(history.last_failed for history in histories)
    waiting = sum(letter.letters for letter in evidence.letters if letter.stream in subject.stream_names)
    return Verdict(
        len({history.tenant_id for history in histories}),
        findings,
        note=f"{failed:,} of {read:,} records failed in the newest syncs.",
        is_severe=worst >= SEVERE_FAILED_SHARE,
        numbers={"failed": failed, "failed_share": round(failed / max(read, 1), 6), "open_dead_letters": waiting},
    )


def failed_values(evidence: Evidence, subject: Subject) -> Verdict:
    """Every optional value could be read: no column is empty because its value didn't fit."""
    tables = {ENTITIES[entity].table for entity in subject.entities}
    found = [
        each for each in evidence.failed_values if each.stream in subject.stream_names and each.table_name in tables
    ]
    findings = []
    for tenant, stream in dict.fromkeys((each.tenant_id, each.stream) for each in found):
        own = [each for each in found if (each.tenant_id, each.stream) == (tenant, stream)]
        worst = max(own, key=lambda each: each.records)
        findings.append(
            Finding(
                tenant,
                f"{sum(each.records for each in own):,} values couldn't be read, mostly {worst.column_name}: "
                f"`{worst.reason_code}` in {worst.records:,} records, which are written without it.",
                f"See `gtmc failed-values list --tenant {tenant} --connector {evidence.connector}`, correct the "
                "mapping (then `gtmc mappings apply`) or the records at the vendor.",
                stream,
            )
        )
    return Verdict(
        len({history.tenant_id for history in evidence.histories_of(subject)}),
        findings,
        note="Every optional value could be read.",
        is_mild=True,
        numbers={"failed_values": sum(each.records for each in found)},
    )


def _low_full(reads: Sequence[int]) -> str:
    """What is odd about the newest full sync beside the earlier ones; empty when nothing is."""
    if len(reads) <= FULL_SYNCS_NEEDED:
        return ""
    usual = median(reads[1:])
    if usual < USUAL_RECORDS_NEEDED or reads[0] >= LOW_SHARE * usual:
        return ""
    return f"the last full sync read {reads[0]:,} records; usual are {usual:,.0f}."


def _silent(reads: Sequence[int]) -> str:
    """Whether incremental syncs that always found something have found nothing lately."""
    latest, earlier = reads[:EMPTY_SYNCS_IN_A_ROW], reads[EMPTY_SYNCS_IN_A_ROW:]
    if len(reads) < INCREMENTAL_SYNCS_NEEDED or any(latest) or not all(earlier):
        return ""
    return f"the last {len(latest)} incremental syncs read nothing; each of the {len(earlier)} before found records."


def _most_frequent(reasons: Counter[tuple[str, str, str]], tenant: str, stream: str) -> str:
    own = Counter({code: n for (owner, name, code), n in reasons.items() if (owner, name) == (tenant, stream)})
    return own.most_common(1)[0][0] if own else ""
