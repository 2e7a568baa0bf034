"""Previews: a few rows of a tenant as a Markdown table on the asset's page, personal data masked; and their number."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from gtmc_pipelines.model.catalog import Stream, stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import ENTITIES, EntitySpec, Kind
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.vault.masking import mask_row

if TYPE_CHECKING:
    from gtmc_pipelines.storage.engine import Database

ROWS = 5
_COLUMNS = 6  # as many as a partition's page shows without scrolling
_CANDIDATES = 12
_LONGEST_CELL = 48

_LEFT_OUT = frozenset({"transcript", "summary", "participants", "title", "content_url"})
"""Columns that are long, or whose free text may name anybody."""

_BY_TABLE = {spec.table: spec for spec in ENTITIES.values()}


def with_preview(database: Database, event: dg.AssetMaterialization) -> dg.AssetMaterialization:
    """The event with a preview of its partition in its metadata, and after a full sync with its number of rows.

    The number is counted: a sync's counts know deleted records that were never stored. Unchanged when there is
    nothing to show.
    """
    place = _Place.of(event.asset_key, str(event.partition))
    found = event.metadata
    if found.get("sync_type") == dg.MetadataValue.text(SyncMode.FULL.value):
        found = {"dagster/partition_row_count": dg.MetadataValue.int(place.count(database)), **found}
    if rows := preview_rows(database, event.asset_key, str(event.partition)):
        found = {**found, "preview": dg.MetadataValue.md(as_markdown(rows))}
    return event if found is event.metadata else event.with_metadata(found)


def prepare() -> None:
    """Import pandas in the background: it takes half a second, and a sync takes longer."""
    threading.Thread(target=importlib.import_module, args=("pandas",), daemon=True).start()


def preview_rows(database: Database, key: dg.AssetKey, tenant: str) -> list[dict[str, Any]]:
    """At most `ROWS` rows behind an asset's key, masked, without columns that are empty in all of them.

    Raw extracts show no payload, canonical tables no JSON.
    """
    found = _Place.of(key, tenant).sample(database)
    moments = [{column: value for column, value in row.items() if isinstance(value, datetime)} for row in found]
    masked = [mask_row(row) | moment for row, moment in zip(found, moments, strict=True)]
    filled = [column for column in (masked[0] if masked else ()) if any(row[column] is not None for row in masked)]
    return [{column: row[column] for column in filled[:_COLUMNS]} for row in masked]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the rows behind an asset's partition are: `name` is a stream's or a canonical table's."""

    tenant: str
    connector: ConnectorType
    layer: str
    name: str

    @classmethod
    def of(cls, key: dg.AssetKey, tenant: str) -> _Place:
        return cls(tenant, ConnectorType(key.path[0]), key.path[1], key.path[2])

    @property
    def stream(self) -> Stream | None:
        """The stream of a raw extract."""
        return stream_of(self.connector, self.name) if self.layer == "raw" else None

    def sample(self, database: Database) -> list[dict[str, Any]]:
        from gtmc_pipelines.storage.samples import sample_extracts, sample_rows

        if (stream := self.stream) is not None:
            return sample_extracts(database, self.tenant, stream, ROWS)
        columns = preview_columns(_BY_TABLE[self.name])
        return sample_rows(database, self.tenant, self.name, self.connector.value, columns, ROWS)

    def count(self, database: Database) -> int:
        from gtmc_pipelines.storage.samples import count_extracts, count_rows

        if (stream := self.stream) is not None:
            return count_extracts(database, self.tenant, stream)
        return count_rows(database, self.tenant, self.name, self.connector.value)


def preview_columns(spec: EntitySpec) -> list[str]:
    """Columns that may be shown: the id, then the first fields that are neither JSON nor free text."""
    plain = [field.column for field in spec.fields if field.kind is not Kind.JSON and field.column not in _LEFT_OUT]
    return ["external_id", *plain][:_CANDIDATES]


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table; times to the minute in UTC, nothing for null, long texts cut."""
    import pandas as pd

    frame = pd.DataFrame([{column: _cell(value) for column, value in row.items()} for row in rows])
    return str(frame.to_markdown(index=False, disable_numparse=True))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    text = str(value).replace("\n", " ").replace("|", "\\|")
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
