"""Previews: a few rows of a tenant as a table on the asset's page, and their number.

Dagster keeps them as long as the event, whatever is erased in our tables meanwhile. So they hold no free text, which
may name anybody: ids, kinds, numbers and moments, and of an address or a name what its mask leaves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from gtmc_pipelines.defs.showing import table, text
from gtmc_pipelines.model.catalog import Stream, stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import ENTITIES, EntitySpec, Kind
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.vault.masking import BLOT, mask_row

if TYPE_CHECKING:
    from gtmc_pipelines.storage.engine import Database

ROWS = 5
_COLUMNS = 6  # as many as a partition's page shows without scrolling
_CANDIDATES = 12

_MASKED = frozenset({"email", "phone", "first_name", "last_name", "person_email", "recorded_by_email"})
"""Texts about a person, of which the mask leaves a letter or two."""
_IDS = frozenset({field.column for spec in ENTITIES.values() for field in spec.fields if field.column.endswith("_id")})
_WORDS = frozenset({"domain", "currency", "converted_to", "type", "channel", "account_domain"})
_SHOWN = _MASKED | _IDS | _WORDS
"""The columns of text that are shown. A new one isn't, until it stands here."""

_ONE_WORD = re.compile(r"[\w.:@%+/=•-]{1,64}")
"""What a mapping may put into an id or a kind and still be shown: no sentence."""

_PLAIN_KINDS = frozenset(Kind) - {Kind.TEXT, Kind.JSON}
_BY_TABLE = {spec.table: spec for spec in ENTITIES.values()}


def with_preview(database: Database, event: dg.AssetMaterialization) -> dg.AssetMaterialization:
    """The event with a preview of its partition in its metadata, and after a full sync with its number of rows.

    The number is counted: a sync's counts know deleted records that were never stored. Unchanged when there is
    nothing to show.
    """
    place = _Place.of(event.asset_key, str(event.partition))
    found = event.metadata
    if found.get("sync_type") == text(SyncMode.FULL.value):
        found = {"dagster/partition_row_count": dg.MetadataValue.int(place.count(database)), **found}
    if rows := preview_rows(database, event.asset_key, str(event.partition)):
        found = {**found, "preview": table(list(rows[0]), (list(row.values()) for row in rows))}
    return event if found is event.metadata else event.with_metadata(found)


def preview_rows(database: Database, key: dg.AssetKey, tenant: str) -> list[dict[str, Any]]:
    """At most `ROWS` rows behind an asset's key, masked, without columns that are empty in all of them.

    Raw extracts show no payload, canonical tables no JSON.
    """
    found = _Place.of(key, tenant).sample(database)
    moments = [{column: value for column, value in row.items() if isinstance(value, datetime)} for row in found]
    masked = [_words(mask_row(row)) | moment for row, moment in zip(found, moments, strict=True)]
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
    plain = [field.column for field in spec.fields if field.column in _SHOWN or field.kind in _PLAIN_KINDS]
    return ["external_id", *plain][:_CANDIDATES]


def _words(row: dict[str, Any]) -> dict[str, Any]:
    """The row with every text in it that is more than a word blotted out; masks of names keep their initials."""
    return {
        column: BLOT if isinstance(value, str) and column not in _MASKED and not _ONE_WORD.fullmatch(value) else value
        for column, value in row.items()
    }
