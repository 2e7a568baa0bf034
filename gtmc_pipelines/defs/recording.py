"""From facts to events: which selected assets a finished sync materialized, recorded truthfully."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from gtmc_pipelines.defs.metadata import SyncFacts, materialization
from gtmc_pipelines.defs.names import canonical_key, raw_key, streams_feeding
from gtmc_pipelines.model.catalog import STREAMS, canonical_tables
from gtmc_pipelines.model.connector_types import ConnectorType


def streams_of_assets(connector: ConnectorType) -> dict[dg.AssetKey, tuple[str, ...]]:
    """For each asset of a connector type, the streams that make it; raw first."""
    found: dict[dg.AssetKey, tuple[str, ...]] = {
        raw_key(connector, stream.name): (stream.name,) for stream in STREAMS[connector]
    }
    for table in canonical_tables(connector):
        found[canonical_key(connector, table)] = tuple(s.name for s in streams_feeding(connector, table))
    return found


def events_of(facts: SyncFacts, selected: set[dg.AssetKey]) -> Iterator[dg.AssetMaterialization]:
    """An event for each selected asset whose streams took part and all completed; none for the others."""
    for key, streams in streams_of_assets(facts.connector).items():
        took_part = tuple(stream for stream in streams if stream in facts.counts)
        if key in selected and facts.has_completed(took_part):
            yield materialization(key, facts, took_part)


def already_recorded(instance: dg.DagsterInstance, event: dg.AssetMaterialization) -> bool:
    """True when the newest materialization of this partition came from the very same workflow run."""
    newest = instance.event_log_storage.get_latest_tags_by_partition(
        event.asset_key,
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        ["dagster/data_version"],
        asset_partitions=[str(event.partition)],
    )
    version = newest.get(str(event.partition), {}).get("dagster/data_version")
    return version is not None and version == (event.tags or {}).get("dagster/data_version")
