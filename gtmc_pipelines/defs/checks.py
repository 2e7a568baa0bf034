"""Asset checks: every record read is accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import dagster as dg

from gtmc_pipelines.defs.names import raw_key
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.connector_types import ConnectorType

if TYPE_CHECKING:
    from gtmc_pipelines.storage.sync_history import SyncLog

BALANCE_SHEET = "balance_sheet"
NEWEST = 1_000
"""Syncs a check looks at: the newest, over all tenants and connectors."""

_SAMPLE = 20
_DESCRIPTION = (
    "read = created + updated + unchanged + deleted + failed + skipped, for every recent sync of this stream. "
    "If not, records were lost or counted twice: that is our bug. `gtmc syncs show <id>` has the whole sheet; "
    "a full sync puts the data right."
)


def check_specs(connector: ConnectorType) -> list[dg.AssetCheckSpec]:
    """Checks of a connector type's assets: `balance_sheet` on each raw extract.

    They belong to the assets' own op: every asset is skippable, and Dagster skips a check of its own
    behind a skipped output. Selected alone they run without a sync.
    """
    keys = [raw_key(connector, stream.name) for stream in STREAMS[connector]]
    return [dg.AssetCheckSpec(BALANCE_SHEET, asset=key, description=_DESCRIPTION) for key in keys]


def check_results(
    connector: ConnectorType, selected: AbstractSet[dg.AssetCheckKey], platform: GtmcResource
) -> Iterator[dg.AssetCheckEvaluation]:
    """The selected checks, answered from the newest sync logs by one query."""
    from gtmc_pipelines.storage.sync_history import list_syncs

    if not selected:
        return
    with platform.database() as database:
        newest = list_syncs(database, limit=NEWEST)
    ended = [log for log in newest if log.connector == connector and log.completed_at is not None]
    for stream in STREAMS[connector]:
        if dg.AssetCheckKey(raw_key(connector, stream.name), BALANCE_SHEET) in selected:
            yield verdict(stream, ended)


def verdict(stream: Stream, ended: Sequence[SyncLog]) -> dg.AssetCheckEvaluation:
    """Whether the sheet of this stream adds up in each of these syncs."""
    seen = [log for log in ended if stream.name in log.stream_counts]
    unbalanced = [log for log in seen if not log.counts_of(stream.name).is_balanced]
    sample = [{"tenant": log.tenant_id, "sync": log.id} for log in unbalanced[:_SAMPLE]]
    sentence = f"{len(unbalanced)} of {len(seen)} recent syncs don't add up."
    return dg.AssetCheckEvaluation(
        asset_key=raw_key(stream.connector, stream.name),
        check_name=BALANCE_SHEET,
        passed=not unbalanced,
        severity=dg.AssetCheckSeverity.ERROR,
        description=sentence if seen else "No sync has ended yet.",
        metadata={
            "syncs": dg.MetadataValue.int(len(seen)),
            "unbalanced": dg.MetadataValue.int(len(unbalanced)),
            "sample": dg.MetadataValue.json(sample),
        },
    )
