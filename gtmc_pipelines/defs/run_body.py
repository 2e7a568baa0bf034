"""What happens inside a run: one tenant or a sweep over many, and what to do when it is interrupted."""

from __future__ import annotations

import dagster as dg

from gtmc_pipelines.defs.config import SyncConfig
from gtmc_pipelines.defs.metadata import workflow_links
from gtmc_pipelines.defs.names import op_name
from gtmc_pipelines.defs.narrator import sheet_text
from gtmc_pipelines.defs.order import SyncOrder, order_of, pin
from gtmc_pipelines.defs.platform import Platform
from gtmc_pipelines.defs.preview import with_preview
from gtmc_pipelines.defs.recording import events_of, not_yet_recorded
from gtmc_pipelines.defs.run_config import config_of_op, refuse_foreign_variables
from gtmc_pipelines.defs.showing import Address, Log, sentence, text
from gtmc_pipelines.defs.sweep import Sweep
from gtmc_pipelines.defs.tenant_sync import Finished, RunSyncs
from gtmc_pipelines.defs.vendor_resource import VendorResource
from gtmc_pipelines.model.errors import GtmcError


def run_syncs(context: dg.AssetExecutionContext, config: SyncConfig, resource: VendorResource) -> dg.Failure | None:
    """Do what the run asks for, and record it. Gives the failure to raise when a tenant's sync failed.

    Raises dg.Failure, with one sentence and the next step, when nothing could be done at all.
    """
    try:
        refuse_foreign_variables(config_of_op(context, op_name(resource.connector)))
        order = order_of(context, config, resource.connector)
        pin(context, order)
        with resource.open() as platform:
            platform.client.require_workers()
            syncs = RunSyncs(platform, order, resource.follow_seconds)
            try:
                if order.is_sweep:
                    return Sweep(context, order, syncs, platform.database, resource.sweep_concurrency, _fault_in).run()
                return _single(context, order, syncs, platform)
            except dg.DagsterExecutionInterruptedError:
                _interrupted(context, syncs)
                raise
    except Exception as error:
        fault = _fault_in(error)
        if fault is None:
            raise
        raise dg.Failure(sentence(fault), metadata={"code": text(fault.code)}, allow_retries=False) from None


def _single(
    context: dg.AssetExecutionContext, order: SyncOrder, syncs: RunSyncs, platform: Platform
) -> dg.Failure | None:
    (tenant,) = order.tenants
    kind = "re-normalising from raw" if order.is_renormalization else f"{order.mode} sync"
    log = Log(context)
    log.info("{}, {} of {}: {}", order.connector.label, kind, tenant, ", ".join(order.streams))
    finished = syncs.sync(tenant, log.info)
    _record(context, finished, platform)
    if not finished.problem:
        return None
    links = {} if finished.facts is None else workflow_links(finished.facts)
    return dg.Failure(sentence(finished.problem), metadata=links, allow_retries=False)


def _fault_in(error: Exception) -> GtmcError | None:
    """The fault in our words: its own, or an outage of the database; None for anything unexpected."""
    from gtmc_pipelines.storage.outages import outage_in

    return error if isinstance(error, GtmcError) else outage_in(error)


def _record(context: dg.AssetExecutionContext, finished: Finished, platform: Platform) -> None:
    """Store an event for each selected asset that is complete, unless a parent run or the sensor has done so."""
    from gtmc_pipelines.storage.recording import recording

    facts = finished.facts
    if facts is None:
        return
    totals = facts.total_of(tuple(facts.counts)).as_dict()
    outcome = "not completed" if finished.problem else "done"
    told = sheet_text(totals)
    Log(context).info("{} {} ({}): {} {}", finished.tenant, outcome, facts.mode, told, Address(facts.workflow_url))
    with recording(platform.database, [facts.workflow_run_id]):
        for event in not_yet_recorded(context.instance, events_of(facts, set(context.selected_asset_keys))):
            context.log_event(with_preview(platform.database, event))


def _interrupted(context: dg.AssetExecutionContext, syncs: RunSyncs) -> None:
    """Terminated by a person: cancel the workflows too. A machine that goes down: leave them running."""
    run = context.instance.get_run_by_id(context.run_id)
    if run is not None and run.status is dg.DagsterRunStatus.CANCELING:
        names = syncs.cancel()
        asked = "1 workflow was" if len(names) == 1 else f"{len(names)} workflows were"
        Log(context).warning("Terminated: {} asked to stop and close the books.", asked)
        return
    syncs.detach()
    Log(context).warning("This process was stopped. The workflows go on; re-execute the run to attach to them again.")
