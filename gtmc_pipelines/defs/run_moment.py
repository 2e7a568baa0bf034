"""The moments a run's workflow ids are made from, so that a re-execution finds what its parents started."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from gtmc_pipelines.defs.names import SYNC_AT_TAG
from gtmc_pipelines.model.errors import Broken

_PARENT_TAG = "dagster/parent_run_id"
_LONGEST_CHAIN = 8


@dataclass(frozen=True, slots=True)
class RunMoment:
    """`own` is when this run was created; `inherited` are its ancestors' moments, newest first.

    A re-execution looks for a workflow under each inherited moment: the first that exists decides.
    Still running, it attaches; completed, it reports; ended otherwise, a new sync starts under
    `own`. All are facts on record, never now(), so a worker that comes back computes the same ids.
    """

    own: datetime
    inherited: tuple[datetime, ...] = ()


def moment_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunMoment:
    """The run's moments. A parent that succeeded leaves nothing to attach to: re-executing it syncs anew."""
    own = created_at(instance, run.run_id)
    parent_id = run.tags.get(_PARENT_TAG)
    if parent_id is None:
        return RunMoment(own)
    parent = instance.get_run_by_id(parent_id)
    if parent is not None and parent.status is dg.DagsterRunStatus.SUCCESS:
        return RunMoment(own)
    pinned = (parent or run).tags.get(SYNC_AT_TAG)  # tags of a deleted parent were handed down
    if pinned is None and parent is not None:  # killed before it could pin
        return RunMoment(own, (created_at(instance, parent_id),))
    return RunMoment(own, tuple(datetime.fromisoformat(text) for text in (pinned or "").split(",") if text))


def created_at(instance: dg.DagsterInstance, run_id: str) -> datetime:
    """When Dagster stored the run, UTC."""
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        raise Broken("run_unknown", f"Run {run_id} is not in this Dagster instance.")
    stamp = record.create_timestamp
    return stamp.replace(tzinfo=UTC) if stamp.tzinfo is None else stamp.astimezone(UTC)


def pinned_text(moment: RunMoment) -> str:
    """The moments as the run tag keeps them for re-executions to come, newest first."""
    return ",".join(stamp.isoformat() for stamp in (moment.own, *moment.inherited)[:_LONGEST_CHAIN])
