"""Asset checks: every record read is accounted for."""

# No postponed annotations here: Dagster reads those of its functions.

from collections.abc import Iterator, Sequence
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


def balance_checks(connector: ConnectorType) -> dg.AssetChecksDefinition:
    """`balance_sheet` on each raw extract of a connector type; one query answers all of them."""
    streams = {dg.AssetCheckKey(raw_key(connector, s.name), BALANCE_SHEET): s for s in STREAMS[connector]}

    @dg.multi_asset_check(
        name=f"{connector}_balance_sheet",
        specs=[dg.AssetCheckSpec(BALANCE_SHEET, asset=key.asset_key, description=_DESCRIPTION) for key in streams],
        can_subset=True,
    )
    def balance_sheet(context: dg.AssetCheckExecutionContext, gtmc: GtmcResource) -> Iterator[dg.AssetCheckResult]:
        from gtmc_pipelines.storage.sync_history import list_syncs

        with gtmc.database() as database:
            newest = list_syncs(database, limit=NEWEST)
        ended = [log for log in newest if log.connector == connector and log.completed_at is not None]
        for key in context.selected_asset_check_keys:
            yield verdict(streams[key], ended)

    return balance_sheet


def verdict(stream: Stream, ended: "Sequence[SyncLog]") -> dg.AssetCheckResult:
    """Whether the sheet of this stream adds up in each of these syncs."""
    seen = [log for log in ended if stream.name in log.stream_counts]
    unbalanced = [log for log in seen if not log.counts_of(stream.name).is_balanced]
    sample = [{"tenant": log.tenant_id, "sync": log.id} for log in unbalanced[:_SAMPLE]]
    sentence = f"{len(unbalanced)} of {len(seen)} recent syncs don't add up."
    return dg.AssetCheckResult(
        asset_key=raw_key(stream.connector, stream.name),
        check_name=BALANCE_SHEET,
        passed=not unbalanced,
        severity=dg.AssetCheckSeverity.ERROR,
        description=sentence if seen else "No sync has ended yet.",
        metadata={"syncs": len(seen), "unbalanced": len(unbalanced), "sample": dg.MetadataValue.json(sample)},
    )
