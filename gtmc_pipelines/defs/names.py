"""Names and keys of everything Dagster shows, derived from the connector type in one place."""

from __future__ import annotations

import dagster as dg

from gtmc_pipelines.model.catalog import STREAMS, Stream, canonical_tables
from gtmc_pipelines.model.connector_types import ConnectorType

OWNER = "team:gtm-data"

SYNC_TYPE_TAG = "gtmc/sync_type"
"""Run tag: the sync type of a run, asked for (`full`) or written back once resolved."""

PARTITION_TAG = "dagster/partition"
"""Run tag that makes a run one of a partition. A sensor sets it itself: it adds the partition in the same tick."""

SYNC_AT_TAG = ".dagster/gtmc_sync_at"
"""Run tag: the moment the run's workflow ids are derived from, so that a re-execution finds them.

The prefix is that of tags which the UI doesn't show: nobody reads this one, and it would fill the list of runs.
"""


def partitions_name(connector: ConnectorType) -> str:
    """Name of the dynamic partition set: tenants whose connector of this type is connected."""
    return f"{connector}_tenants"


def op_name(connector: ConnectorType) -> str:
    """Name of the op behind the assets, as run config spells it (`ops: salesforce: config: …`)."""
    return str(connector)


def pool_name(connector: ConnectorType) -> str:
    """Concurrency pool that bounds runs against one vendor."""
    return f"{connector}_api"


def raw_key(connector: ConnectorType, stream: str) -> dg.AssetKey:
    """Key of a raw extract."""
    return dg.AssetKey([str(connector), "raw", stream])


def canonical_key(connector: ConnectorType, table: str) -> dg.AssetKey:
    """Key of a connector's share of a canonical table."""
    return dg.AssetKey([str(connector), "canonical", table])


def streams_feeding(connector: ConnectorType, table: str) -> tuple[Stream, ...]:
    """Streams whose records become rows of this canonical table, in the catalog's order."""
    return tuple(stream for stream in STREAMS[connector] if table in stream.tables)


def streams_selected(connector: ConnectorType, keys: set[dg.AssetKey]) -> tuple[Stream, ...]:
    """Streams a selection of assets needs: a raw asset its own, a canonical asset all that feed it."""
    needed = {stream.name for stream in STREAMS[connector] if raw_key(connector, stream.name) in keys}
    for table in canonical_tables(connector):
        if canonical_key(connector, table) in keys:
            needed.update(stream.name for stream in streams_feeding(connector, table))
    return tuple(stream for stream in STREAMS[connector] if stream.name in needed)
