"""What a run asks for, resolved once: connector, full or incremental, streams, tenants, moments."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from gtmc_pipelines.defs.config import SyncConfig, resolve_sync_type, trigger_of
from gtmc_pipelines.defs.names import SYNC_AT_TAG, SYNC_TYPE_TAG, canonical_key, streams_selected
from gtmc_pipelines.defs.run_moment import RunMoment, moment_of, pinned_text
from gtmc_pipelines.model.catalog import STREAMS, canonical_tables
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.phases import SyncMode, Trigger


@dataclass(frozen=True, slots=True)
class SyncOrder:
    """One run's order, the same for all its tenants. `streams` are names in the catalog's order.

    `is_renormalization`: only canonical assets are selected, so they are made again from raw rows.
    """

    connector: ConnectorType
    mode: SyncMode
    streams: tuple[str, ...]
    tenants: tuple[str, ...]
    trigger: Trigger
    run_id: str
    moment: RunMoment
    is_sweep: bool
    is_renormalization: bool = False

    @property
    def streams_asked(self) -> tuple[str, ...]:
        """Streams as a sync request names them: none when it is all of them."""
        return () if len(self.streams) == len(STREAMS[self.connector]) else self.streams


def order_of(context: dg.AssetExecutionContext, config: SyncConfig, connector: ConnectorType) -> SyncOrder:
    """Read the order from config, partition, selection and tags. Raises Misuse for one that makes no sense."""
    run = context.run
    selected = set(context.selected_asset_keys)
    canonical = {canonical_key(connector, table) for table in canonical_tables(connector)}
    return SyncOrder(
        connector=connector,
        mode=resolve_sync_type(config.sync_type, run.tags),
        streams=_streams(config, connector, selected),
        tenants=_tenants(context, config, connector),
        trigger=trigger_of(run.tags),
        run_id=run.run_id,
        moment=moment_of(context.instance, run),
        is_sweep=not context.has_partition_key,
        is_renormalization=selected <= canonical,
    )


def pin(context: dg.AssetExecutionContext, order: SyncOrder) -> None:
    """Write what was resolved on the run: a re-execution loses the backfill's tag, but keeps these."""
    tags = {SYNC_TYPE_TAG: order.mode.value, SYNC_AT_TAG: pinned_text(order.moment)}
    context.instance.add_run_tags(order.run_id, tags)


def _streams(config: SyncConfig, connector: ConnectorType, selected: set[dg.AssetKey]) -> tuple[str, ...]:
    if not config.streams:
        return tuple(stream.name for stream in streams_selected(connector, selected))
    known = tuple(stream.name for stream in STREAMS[connector])
    unknown = sorted(set(config.streams) - set(known))
    if unknown:
        raise Misuse(
            "unknown_stream",
            f"{connector.label} has no stream {', '.join(unknown)[:80]!r}.",
            next_step=f"Use some of: {', '.join(known)}.",
        )
    return tuple(name for name in known if name in config.streams)


def _tenants(context: dg.AssetExecutionContext, config: SyncConfig, connector: ConnectorType) -> tuple[str, ...]:
    if context.has_partition_key:
        if config.tenant_ids:
            raise Misuse(
                "tenants_twice",
                "This run has both a partition and tenant_ids.",
                next_step="Choose one: a partition for one tenant, or tenant_ids without a partition.",
            )
        return (context.partition_key,)
    if context.has_partition_key_range:
        return tuple(context.partition_keys)
    if not config.tenant_ids:
        raise Misuse(
            "no_tenant",
            "No tenant was chosen.",
            next_step=f"Materialize a partition, or set ops.{connector}.config.tenant_ids.",
        )
    return tuple(dict.fromkeys(config.tenant_ids))
