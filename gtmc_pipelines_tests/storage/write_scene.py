"""A scene for tests of the write path: a tenant with a leased connector, records, mappings, and what is stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gtmc_pipelines.model.catalog import Stream, stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Reject
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.model.records import MappedRow, RejectedRecord, SourceRecord
from gtmc_pipelines.storage import connectors, leases, sync_logs
from gtmc_pipelines.storage.batch import Batch, BatchTarget
from gtmc_pipelines.storage.batch_writer import BatchWriter
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class FieldMapper:
    """Copies payload fields named like the columns. `"reject": true` in a payload is refused."""

    table: str = "people"
    columns: tuple[str, ...] = ("first_name", "email", "title", "account_external_id")
    fingerprint: bytes = b"one"
    external_id_prefix: str = ""
    is_selective: bool = False

    @property
    def required(self) -> frozenset[str]:
        return frozenset(self.columns)

    def read(self, payload: bytes) -> MappedRow:
        return self.texts(payload), ()

    def texts(self, payload: bytes) -> Sequence[str | None]:
        record = json.loads(payload)
        if record.get("reject"):
            raise Reject("bad_type", "This record can't become a row.", field="reject")
        return [_text(record.get(column)) for column in self.columns]


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def at(minutes: float) -> datetime:
    """A moment of the vendor's clock."""
    return EPOCH + timedelta(minutes=minutes)


def record(key: str, minutes: float | None = 0, *, deleted: bool = False, **values: Any) -> SourceRecord:
    """A record of the vendor as of `minutes`."""
    moment = None if minutes is None else at(minutes)
    return SourceRecord(key, json.dumps(values).encode(), moment, deleted)


def batch_of(
    *records: SourceRecord,
    checkpoint: str | None = "next",
    watermark: str | None = None,
    rejects: Sequence[RejectedRecord] = (),
    skipped: int = 0,
) -> Batch:
    return Batch(records, checkpoint, watermark, rejects, skipped)


@dataclass
class Scene:
    """One connector of one tenant, with its lease taken and a sync log open."""

    database: Database
    tenant_id: str
    type: ConnectorType = ConnectorType.SALESFORCE
    stream_name: str = "contacts"
    mappers: Sequence[FieldMapper] = (FieldMapper(),)
    target: BatchTarget = field(init=False)
    stream: Stream = field(init=False)

    def __post_init__(self) -> None:
        stream = stream_of(self.type, self.stream_name)
        assert stream is not None
        self.stream = stream
        connector_id = connectors.add_connector(self.database, self.tenant_id, self.type).id
        with self.database.tenant(self.tenant_id) as handle:
            token = leases.take(handle, self.tenant_id, connector_id, "run-1", "workflow-1")
            assert isinstance(token, int)
            log = sync_logs.open_sync_log(
                handle,
                self.tenant_id,
                connector_id,
                mode=SyncMode.FULL,
                workflow_id="workflow-1",
                workflow_run_id="run-1",
                trigger=Trigger.MANUAL,
            )
        self.target = BatchTarget(
            self.tenant_id, connector_id, log, token, stream, SyncMode.FULL, datetime(2026, 6, 1, tzinfo=UTC)
        )

    def writer(self, *mappers: FieldMapper, **changes: Any) -> BatchWriter:
        return BatchWriter(self.database, replace(self.target, **changes), mappers or self.mappers)

    def write(self, *records: SourceRecord, **options: Any) -> Counts:
        with self.writer() as writer:
            return writer.write(batch_of(*records, **options))

    def select(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        with self.database.tenant(self.tenant_id) as handle:
            return rows(handle, statement, values)

    def people(self, *columns: str) -> dict[str, Any]:
        """Live people by external id: the value of `columns[0]`, or a tuple."""
        chosen = columns or ("first_name",)
        found = self.select(f"SELECT external_id, {', '.join(chosen)} FROM people WHERE deleted_at IS NULL")
        return {
            row["external_id"]: row[chosen[0]] if len(chosen) == 1 else tuple(row[name] for name in chosen)
            for row in found
        }

    def letters(self, *, are_open: bool = True) -> dict[str, str]:
        """Dead letters: reason by external id."""
        found = self.select(
            "SELECT external_id, reason_code FROM dead_letters WHERE (replayed_at IS NULL) = %(are_open)s",
            are_open=are_open,
        )
        return {row["external_id"]: row["reason_code"] for row in found}

    def sheet(self) -> Counts:
        """The sync log's totals."""
        (row,) = self.select("SELECT * FROM sync_logs")
        return Counts(**{name: row[f"records_{name}"] for name in Counts().as_dict()})

    def cursor(self) -> dict[str, Any]:
        (row,) = self.select("SELECT * FROM stream_cursors")
        return row
