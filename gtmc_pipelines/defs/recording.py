"""From facts to events: which selected assets a finished sync materialized, recorded truthfully and once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import dagster as dg

from gtmc_pipelines.defs.metadata import SyncFacts, materialization
from gtmc_pipelines.defs.names import canonical_key, raw_key, streams_feeding
from gtmc_pipelines.model.catalog import STREAMS, canonical_tables
from gtmc_pipelines.model.connector_types import ConnectorType

_VERSION = "dagster/data_version"


def streams_of_assets(connector: ConnectorType) -> dict[dg.AssetKey, tuple[str, ...]]:
    """For each asset of a connector type, the streams that make it; raw first."""
    found: dict[dg.AssetKey, tuple[str, ...]] = {
        raw_key(connector, stream.name): (stream.name,) for stream in STREAMS[connector]
    }
    for table in canonical_tables(connector):
        found[canonical_key(connector, table)] = tuple(s.name for s in streams_feeding(connector, table))
    return found


def events_of(facts: SyncFacts, selected: set[dg.AssetKey] | None = None) -> Iterator[dg.AssetMaterialization]:
    """An event for each selected asset (None: all) whose streams took part and all completed; none for the others.

    Re-normalising touches no raw extract, so it records none; nor does a replay, which lands no new extract.
    """
    canonical = {canonical_key(facts.connector, table) for table in canonical_tables(facts.connector)}
    for key, streams in streams_of_assets(facts.connector).items():
        if (selected is not None and key not in selected) or (facts.is_renormalized and key not in canonical):
            continue
        took_part = tuple(stream for stream in streams if stream in facts.counts)
        if facts.has_completed(took_part):
            yield materialization(key, facts, took_part)


def not_yet_recorded(
    instance: dg.DagsterInstance, events: Iterable[dg.AssetMaterialization]
) -> list[dg.AssetMaterialization]:
    """`events` without those whose partition's newest materialization came from the very same workflow run.

    One query an asset, however many partitions.
    """
    by_asset: dict[dg.AssetKey, list[dg.AssetMaterialization]] = defaultdict(list)
    for event in events:
        by_asset[event.asset_key].append(event)
    return [event for key, batch in by_asset.items() for event in _news(instance, key, batch)]


def _news(
    instance: dg.DagsterInstance, key: dg.AssetKey, events: list[dg.AssetMaterialization]
) -> Iterator[dg.AssetMaterialization]:
    newest = instance.event_log_storage.get_latest_tags_by_partition(
        key,
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        [_VERSION],
        asset_partitions=[str(event.partition) for event in events],
    )
    for event in events:
        version = newest.get(str(event.partition), {}).get(_VERSION)
        if version is None or version != (event.tags or {}).get(_VERSION):
            yield event


def is_recorded(instance: dg.DagsterInstance, event: dg.AssetMaterialization) -> bool:
    """True when this asset has an event of the very same workflow run, be it the newest or not."""
    version = (event.tags or {}).get(_VERSION, "")
    return bool(instance.event_log_storage.get_event_tags_for_asset(event.asset_key, filter_tags={_VERSION: version}))
