"""Jobs: sync everything of a connector type, and the same as a full sync."""

from __future__ import annotations

from functools import cache

from dagster import AssetSelection, define_asset_job
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from gtmc_pipelines.defs.names import SYNC_TYPE_TAG
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.phases import SyncMode


@cache  # sensors name the very same object
def sync_job(connector: ConnectorType) -> UnresolvedAssetJobDefinition:
    """`<type>_sync`: incremental unless config or a backfill says otherwise."""
    return define_asset_job(
        f"{connector}_sync",
        selection=AssetSelection.groups(str(connector)),
        description=f"Syncs {connector.label}: one tenant as a partition, or many by `tenant_ids`. "
        "Incremental by hand and on schedule; a backfill reads everything again.",
    )


@cache
def full_sync_job(connector: ConnectorType) -> UnresolvedAssetJobDefinition:
    """`<type>_full_sync`: the same assets, everything read again, even for one tenant."""
    return define_asset_job(
        f"{connector}_full_sync",
        selection=AssetSelection.groups(str(connector)),
        description=f"Reads everything of {connector.label} again. Nothing is emptied first, "
        "unchanged rows are not rewritten.",
        tags={SYNC_TYPE_TAG: SyncMode.FULL.value},
    )
