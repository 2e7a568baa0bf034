"""What people read on an asset's page: Markdown descriptions of raw extracts and canonical tables.

The first sentence of each is plain text: lists show it, without rendering it.
"""

from __future__ import annotations

from gtmc_pipelines.defs.names import op_name, partitions_name, streams_feeding
from gtmc_pipelines.model.catalog import CursorKind, DeleteDetection, Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import ENTITIES, Entity

_CURSOR = {
    CursorKind.WINDOW: "Incremental syncs ask the vendor for what changed since the last one, with an overlap.",
    CursorKind.TOKEN: "Incremental syncs continue from the vendor's own change token.",
    CursorKind.LOOKBACK: "Incremental syncs read the newest records again, as far back as they can still change.",
    CursorKind.COMPARE: "The vendor can't filter by change: every sync reads everything and writes only differences.",
}
_DELETES = {
    DeleteDetection.FEED: "Deletions are reported by the vendor, or found by a full sync, and marked, never removed.",
    DeleteDetection.SWEEP: "Deletions are found after a complete full sync and marked, never removed.",
    DeleteDetection.NONE: "An event log: nothing is ever deleted.",
}

_CONSENT = {ConnectorType.O365: " and whose data-processing agreement is accepted"}


def raw_description(stream: Stream) -> str:
    """Description of a raw extract."""
    tables = ", ".join(f"`{table}`" for table in stream.tables)
    return "\n\n".join(
        (
            f"{stream.description}, from {stream.connector.label}: the newest version of each record, as delivered.",
            f"Lands in `{stream.raw_table}`, one row per tenant and record. Feeds {tables}.",
            f"{_CURSOR[stream.cursor_kind]} {_DELETES[stream.deletes]}",
            how_to_run(stream.connector),
        )
    )


def canonical_description(connector: ConnectorType, entity: Entity) -> str:
    """Description of a connector's share of a canonical table."""
    table = ENTITIES[entity].table
    streams = ", ".join(f"`{stream.name}`" for stream in streams_feeding(connector, table))
    return "\n\n".join(
        (
            f"{connector.label} in the canonical {table}: mapped, cleaned, typed, one row per record.",
            f"Lands in `public.{table}` with `source = '{connector}'`, written from {streams} by the tenant's "
            "field mapping. The columns below say what the default mapping fills them from.",
            "A row changes only when the record did, and an older version never overwrites a newer one. "
            "Records that can't be mapped become dead letters and are counted as failed. "
            "Materializing canonical assets without their raw extracts maps the stored raw records again and asks "
            "the vendor nothing: use it after a change of the mapping.",
            how_to_run(connector),
        )
    )


def how_to_run(connector: ConnectorType) -> str:
    """How to sync one tenant, all of it again, or several."""
    return "\n".join(
        (
            "**How to run it.** Materialize a tenant: an incremental sync. A partition is a tenant whose "
            f"{connector.label} connector is connected{_CONSENT.get(connector, '')} "
            f"(set `{partitions_name(connector)}`).",
            "",
            "A backfill of several tenants reads everything again (a full sync); nothing is emptied first. "
            "Dagster launches a *single* selected tenant as a plain run, so for one tenant ask for it in the "
            f"Launchpad, or use the job `{connector}_full_sync`:",
            "",
            "```yaml",
            "ops:",
            f"  {op_name(connector)}:",
            "    config:",
            "      sync_type: full",
            "```",
            "",
            "The sync itself is a Temporal workflow. A run that is killed leaves it running and a re-execution "
            "attaches to it again; a run that is terminated here cancels it.",
            "",
            "**When something is wrong.** The checks of this asset say what, for which tenants, and what to do; "
            "each can be executed alone and starts no sync.",
        )
    )
