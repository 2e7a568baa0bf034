"""Applying mappings: the re-normalising workflow started, followed to its end, and told in a balance sheet."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import typer

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.console import console, emit_json, errors, fail
from gtmc_pipelines.cli.mappings_scope import Scope
from gtmc_pipelines.cli.sync_views import balance_sheet, watch
from gtmc_pipelines.model.errors import GtmcError, Misuse
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.workflows.client import SyncClient, workflow_url
from gtmc_pipelines.workflows.inputs import SyncOutcome, SyncRequest

MOST_STARTS = 5
"""How often a running sync of the connector is waited for before giving up."""


def apply_mappings(settings: Settings, scope: Scope, *, as_json: bool) -> None:
    """Re-normalise all streams of a connector; a sync that is running is waited for.

    Raises Misuse before anything starts for a saved mapping that can't be compiled; exits with status 1
    when the workflow fails.
    """
    for entity in scope.entities:
        for stream in scope.streams(entity):
            scope.compiled(entity, stream)
    with SyncClient.open(settings) as client:
        client.require_workers()
        name, outcome = _carried_out(client, _request(scope), as_json)
    if as_json:
        totals = outcome.totals.as_dict()
        url = workflow_url(settings, name)
        emit_json({**asdict(outcome), "totals": totals, "workflow_id": name, "workflow_url": url})
    else:
        balance_sheet(outcome.counts, f"re-normalising {outcome.outcome}")
        if outcome.totals.failed:
            console.print("Why records were rejected: gtmc dead-letters list", highlight=False)
    if not outcome.is_success:
        raise fail(GtmcError(outcome.error_code, outcome.error, next_step=outcome.next_step))


def _request(scope: Scope) -> SyncRequest:
    row = scope.row
    return SyncRequest(
        row.tenant_id, row.id, row.type, SyncMode.FULL, trigger=Trigger.RENORMALIZE, requested_by=cli_actor()
    )


def _carried_out(client: SyncClient, request: SyncRequest, as_json: bool) -> tuple[str, SyncOutcome]:
    """Name and outcome of a re-normalisation that began after this call: one that gave way is started again."""
    for _ in range(MOST_STARTS):
        handle = client.renormalize(request, datetime.now(UTC))  # the moment the command was given
        try:
            watch(client.follow(handle, 0.5), is_quiet=as_json)
        except KeyboardInterrupt:
            errors.print(f"Not followed any more; it goes on: gtmc syncs show {handle.workflow_id}", soft_wrap=True)
            raise typer.Exit(130) from None
        outcome = client.outcome(handle)
        if not outcome.held_by:
            return handle.workflow_id, outcome
        errors.print(f"{outcome.held_by} was running and has ended; now the mappings are applied.", soft_wrap=True)
    raise Misuse(
        "connector_busy",
        f"Each time another sync of {request.connector_type.label} was running already.",
        next_step="Run `gtmc mappings apply` again once its syncs have ended; `gtmc syncs list` shows them.",
    )
