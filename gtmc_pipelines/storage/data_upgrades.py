"""What `gtmc upgrade-data` has begun and done: one row per connector, step and version, with its counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Row, row, rows

_COLUMNS = (
    "connector_id, step, version, started_at, finished_at, outcome, workflow_id, counts_before, counts_after,"
    " requested_by"
)
_KEY = "tenant_id = %(tenant)s AND connector_id = %(connector)s AND step = %(step)s AND version = %(version)s"
_LIST = f"SELECT {_COLUMNS} FROM data_upgrades WHERE tenant_id = %(tenant)s ORDER BY started_at, step"  # noqa: S608 - constants only

# The counts of before are those of the first start: what was done before a kill belongs to the step.
_BEGIN = f"""
INSERT INTO data_upgrades AS u (tenant_id, connector_id, step, version, started_at, counts_before, requested_by)
VALUES (%(tenant)s, %(connector)s, %(step)s, %(version)s, %(at)s, %(counts)s, %(actor)s)
ON CONFLICT (tenant_id, connector_id, step, version) DO UPDATE
   SET started_at = excluded.started_at, finished_at = NULL, outcome = NULL, workflow_id = NULL,
       requested_by = excluded.requested_by,
       counts_before = CASE WHEN u.outcome IS NULL THEN u.counts_before ELSE excluded.counts_before END
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants only
_FINISH = f"""
UPDATE data_upgrades
   SET finished_at = now(), outcome = %(outcome)s, workflow_id = %(workflow)s, counts_after = %(counts)s
 WHERE {_KEY} RETURNING {_COLUMNS}
"""  # noqa: S608 - constants only

TableCounts = Mapping[str, Mapping[str, Any]]
"""Per table: `rows`, `live`, and `nulls` by column, of one tenant and source."""


@dataclass(frozen=True, slots=True)
class Step:
    """Which step of which version is meant, of one connector."""

    tenant_id: str
    connector_id: str
    step: str
    version: str


@dataclass(frozen=True, slots=True)
class Mending:
    """A step as it is remembered. `outcome` is None while it is under way, else `done`, `accepted` or `declined`.

    `started_at` names the workflow that does it: a command that was killed lands on the same one.
    """

    connector_id: str
    step: str
    version: str
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str | None = None
    workflow_id: str | None = None
    counts_before: TableCounts = field(default_factory=dict)
    counts_after: TableCounts | None = None
    requested_by: str = ""


def list_mendings(database: Database, tenant_id: str) -> list[Mending]:
    """All steps begun or done for a tenant, oldest first."""
    with database.tenant(tenant_id) as handle:
        return [_mending(found) for found in rows(handle, _LIST, {"tenant": tenant_id})]


def begin(database: Database, step: Step, at: datetime, counts: TableCounts, *, actor: str) -> Mending:
    """Remember that a step begins at `at`, before anything of it is done. Begun again, it keeps its first counts."""
    values = {**_key(step), "at": at, "counts": Jsonb(dict(counts)), "actor": actor}
    with database.tenant(step.tenant_id) as handle:
        begun = row(handle, _BEGIN, values)
        assert begun is not None
        _record(handle, step, "data_upgrade.start", actor, {})
    return _mending(begun)


def finish(
    database: Database,
    step: Step,
    counts: TableCounts | None = None,
    *,
    actor: str,
    outcome: str = "done",
    workflow_id: str | None = None,
) -> Mending:
    """Remember that a step has ended: it is not planned again in this version."""
    values = {
        **_key(step),
        "outcome": outcome,
        "workflow": workflow_id,
        "counts": None if counts is None else Jsonb(dict(counts)),
    }
    with database.tenant(step.tenant_id) as handle:
        ended = row(handle, _FINISH, values)
        assert ended is not None, "a step is begun before it ends"
        _record(handle, step, "data_upgrade.finish", actor, {"outcome": outcome, "workflow_id": workflow_id})
    return _mending(ended)


def _key(step: Step) -> dict[str, Any]:
    return {
        "tenant": step.tenant_id,
        "connector": step.connector_id,
        "step": step.step,
        "version": step.version,
    }


def _record(handle: Any, step: Step, action: str, actor: str, more: Mapping[str, Any]) -> None:
    audit.record(
        handle,
        step.tenant_id,
        actor=actor,
        action=action,
        resource="connector",
        resource_id=step.connector_id,
        changes={"step": step.step, "version": step.version, **more},
    )


def _mending(values: Row) -> Mending:
    return Mending(**values)
