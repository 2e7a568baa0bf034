"""Assets: one subsettable multi-asset per connector type, whose op starts syncs and records what they did."""

# No postponed annotations here: Dagster reads those of its functions.

from collections.abc import Iterator

import dagster as dg

from gtmc_pipelines.defs.checks.catalog import check_results, check_specs
from gtmc_pipelines.defs.checks.verdict import summary
from gtmc_pipelines.defs.columns import Mappings
from gtmc_pipelines.defs.config import SyncConfig
from gtmc_pipelines.defs.names import op_name, pool_name
from gtmc_pipelines.defs.run_body import run_syncs
from gtmc_pipelines.defs.showing import Log
from gtmc_pipelines.defs.translator import asset_specs
from gtmc_pipelines.defs.vendor_resource import VendorResource
from gtmc_pipelines.model.connector_types import ConnectorType


def connector_assets(connector: ConnectorType, mappings: Mappings) -> dg.AssetsDefinition:
    """Raw extracts and canonical tables of one connector type. No retry policy: Temporal retries."""

    @dg.multi_asset(
        name=op_name(connector),
        specs=asset_specs(connector, mappings),
        check_specs=check_specs(connector),
        can_subset=True,
        pool=pool_name(connector),
        required_resource_keys={str(connector)},
    )
    def sync_assets(context: dg.AssetExecutionContext, config: SyncConfig) -> Iterator[dg.AssetCheckEvaluation]:
        resource: VendorResource = getattr(context.resources, str(connector))
        # Events are logged, not yielded: an interrupt loses none, and a check costs one event instead of two.
        # Dagster then names all those outputs in a line nobody can use.
        context.log.addFilter(lambda record: "did not yield or return expected outputs" not in str(record.msg))
        failure = run_syncs(context, config, resource) if context.selected_asset_keys else None
        evaluations = []
        for evaluation in check_results(connector, context.selected_asset_check_keys, resource):
            context.log_event(evaluation)
            evaluations.append(evaluation)
        if evaluations:
            Log(context).info("{}", summary(evaluations))
        yield from ()
        if failure is not None:
            raise failure

    return sync_assets
