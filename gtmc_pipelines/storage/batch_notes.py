"""What a batch notes beside its rows: optional values that failed, and activities whose time is still to come.

Both are rare. So a stream read asks once whether anything is noted of its stream already; where nothing is and
nothing new comes, a batch costs no statement more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from gtmc_pipelines.model.records import FailedValue, RowMapper
from gtmc_pipelines.storage import failed_values, planned_records
from gtmc_pipelines.storage.batch import BatchTarget
from gtmc_pipelines.storage.engine import begin_tenant


@dataclass(frozen=True, slots=True)
class Noted:
    """Whether anything of a stream is noted."""

    failed: bool = False
    planned: bool = False

    def __or__(self, other: Noted) -> Noted:
        return Noted(self.failed or other.failed, self.planned or other.planned)


NOTHING = Noted()


@dataclass(slots=True)
class Notes:
    """The notes of one batch, by record id: `failed` values with their tables, and when a `planned` one is due."""

    failed: dict[str, Sequence[tuple[str, FailedValue]]] = field(default_factory=dict)
    planned: dict[str, str] = field(default_factory=dict)

    @property
    def noted(self) -> Noted:
        """What there is."""
        return Noted(bool(self.failed), bool(self.planned))

    @property
    def failed_values(self) -> int:
        """How many values stayed null."""
        return sum(map(len, self.failed.values()))

    def forget(self, ids: Sequence[str]) -> None:
        """These records were not written after all."""
        for each in ids:
            self.failed.pop(each, None)
            self.planned.pop(each, None)

    def keep(
        self,
        connection: psycopg.Connection[Any],
        target: BatchTarget,
        batch_id: int,
        stored: Noted,
        written: Collection[str],
    ) -> None:
        """Store them in the batch's transaction; what was noted of the other `written` records goes."""
        place = (connection, target.tenant_id, target.connector_id, target.stream.name)
        if self.failed or (stored.failed and written):
            failed_values.settle(*place, self.failed, written, sync_log_id=target.sync_log_id, batch_id=batch_id)
        if self.planned or (stored.planned and written):
            planned_records.settle(*place, self.planned, written)


def noted(connection: psycopg.Connection[Any], target: BatchTarget, mappers: Sequence[RowMapper]) -> Noted:
    """What is noted of the target's stream, once what its mappings fill no more is off the list."""
    place = (connection, target.tenant_id, target.connector_id, target.stream.name)
    with connection.transaction():
        begin_tenant(connection, target.tenant_id)
        found = Noted(failed_values.has_any(*place), planned_records.has_any(*place))
        if found.failed:
            failed_values.forget_unmapped(*place, mappers)
    return found
