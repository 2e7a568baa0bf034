"""Checks of the connection: data are as fresh as promised, nobody has to reconnect, nothing is stuck."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from gtmc_pipelines.defs.checks.evidence import Evidence, Subject
from gtmc_pipelines.defs.checks.verdict import Finding, Verdict
from gtmc_pipelines.defs.due import UNREADABLE, moments_until
from gtmc_pipelines.defs.schedules import EVERY_FOUR_HOURS
from gtmc_pipelines.model.connector_types import ConnectorStatus

if TYPE_CHECKING:
    from gtmc_pipelines.storage.check_models import ConnectorHealth

GRACE = timedelta(hours=1)
"""How long a sync may take, and the scheduler be late, before its moment counts as missed."""

STUCK_WITHOUT_LEASE = timedelta(minutes=10)
STUCK_WITH_LEASE = timedelta(hours=6)


def freshness(evidence: Evidence, subject: Subject) -> Verdict:
    """Each tenant has a complete sync since the last moment of its own schedule, half a period of slack given.

    A connector that waits for its quota until a stated time is not late.
    """
    findings, oldest, waiting = [], 0.0, 0
    for row in evidence.connectors:
        completed = _completed_at(evidence, subject, row.tenant_id)
        fresh_at = completed or (row.since if row.status is ConnectorStatus.CONNECTED else row.created_at)
        age = evidence.now - fresh_at
        oldest = max(oldest, age.total_seconds() / 3600)
        try:
            needed_since = _needed_since(row.schedule_cron, row.schedule_timezone, evidence.now)
        except UNREADABLE:
            findings.append(_unreadable_schedule(evidence, row))
            continue
        if fresh_at >= needed_since:
            continue
        if row.deferred_until is not None and row.deferred_until > evidence.now:
            waiting += 1
            continue
        seen = f"no complete sync for {_span(age)}" if completed else "never completely synced"
        findings.append(Finding(row.tenant_id, f"{seen}.", _what_to_do(evidence, row)))
    return Verdict(
        len(evidence.connectors),
        findings,
        note="Every tenant is as fresh as its schedule promises." if evidence.connectors else "Nobody is connected.",
        numbers={"oldest_hours": round(oldest, 2), "waiting_for_quota": waiting},
    )


def authentication(evidence: Evidence, _subject: Subject) -> Verdict:
    """No tenant has to reconnect: tokens and keys are accepted by the vendor."""
    findings = [
        Finding(
            row.tenant_id, _cause(row), "" if "gtmc connectors connect" in _cause(row) else _reconnect(evidence, row)
        )
        for row in evidence.connectors
        if row.status is ConnectorStatus.ERROR and row.error_kind == "reauthorize"
    ]
    return Verdict(len(evidence.connectors), findings, note="The vendor accepts every tenant's credentials.")


def stuck_on_syncing(evidence: Evidence, _subject: Subject) -> Verdict:
    """No connector has been on `syncing` for longer than its workflow can explain."""
    findings = []
    for row in evidence.connectors:
        span = evidence.now - row.since
        bound = STUCK_WITH_LEASE if row.owner_workflow else STUCK_WITHOUT_LEASE
        if row.status is not ConnectorStatus.SYNCING or span < bound:
            continue
        held = f"held by workflow `{row.owner_workflow}`" if row.owner_workflow else "no workflow holds it"
        findings.append(
            Finding(
                row.tenant_id,
                f"on `syncing` for {_span(span)}, {held}.",
                "Look for the workflow in the Temporal UI: if it has failed or timed out, materialize the tenant "
                "again, which goes on at the checkpoint.",
            )
        )
    running = sum(1 for row in evidence.connectors if row.status is ConnectorStatus.SYNCING)
    return Verdict(len(evidence.connectors), findings, note="Nothing is stuck.", numbers={"syncing": running})


def _completed_at(evidence: Evidence, subject: Subject, tenant: str) -> datetime | None:
    """When all streams of the asset were last complete: the oldest of their newest complete syncs."""
    found = []
    for stream in subject.stream_names:
        history = evidence.histories.get((tenant, stream))
        if history is None or history.completed_at is None:
            return None
        found.append(history.completed_at)
    return min(found)


@lru_cache(maxsize=4_096)
def _needed_since(cron: str | None, timezone: str, now: datetime) -> datetime:
    """The moment after which a complete sync counts as on time. Raises what is UNREADABLE."""
    due, before = islice(moments_until(cron or EVERY_FOUR_HOURS, timezone, now - GRACE), 2)
    return due - (due - before) / 2


def _unreadable_schedule(evidence: Evidence, row: ConnectorHealth) -> Finding:
    command = f"gtmc connectors schedule --tenant {row.tenant_id} --connector {evidence.connector} --cron '…'"
    seen = "its cron or time zone can't be read, so no schedule starts it."
    return Finding(row.tenant_id, seen, f"Set them again: `{command}`.")


def _what_to_do(evidence: Evidence, row: ConnectorHealth) -> str:
    if row.status is ConnectorStatus.ERROR:
        return _reconnect(evidence, row) if row.error_kind == "reauthorize" else _cause(row)
    if row.status is ConnectorStatus.SYNCING:
        return "It is syncing now; if that lasts, see the check stuck_on_syncing."
    return (
        "Nothing is wrong with the connector: see whether the schedule is on and the worker runs (`gtmc doctor`), "
        "or materialize the tenant."
    )


def _reconnect(evidence: Evidence, row: ConnectorHealth) -> str:
    command = f"`gtmc connectors connect --tenant {row.tenant_id} --connector {evidence.connector}`"
    return f"The tenant must authenticate again: {command}."


def _cause(row: ConnectorHealth) -> str:
    return row.error or f"The last sync failed ({row.error_code or 'no code'})."


def _span(length: timedelta) -> str:
    hours = length.total_seconds() / 3600
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
