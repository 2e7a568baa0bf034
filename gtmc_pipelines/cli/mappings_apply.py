"""Applying mappings: the re-normalising workflow started, followed to its end, and told in a balance sheet."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.console import emit_json, fail, say
from gtmc_pipelines.cli.in_turn import in_turn
from gtmc_pipelines.cli.mappings_scope import Scope
from gtmc_pipelines.cli.sync_views import balance_sheet
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.workflows.client import SyncClient, workflow_url
from gtmc_pipelines.workflows.inputs import SyncRequest


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
        request = _request(scope)
        name, outcome = in_turn(
            client,
            lambda: client.renormalize(request, datetime.now(UTC)),  # the moment the command was given
            then="the mappings are applied",
            command="gtmc mappings apply",
            is_quiet=as_json,
        )
    if as_json:
        totals = outcome.totals.as_dict()
        url = workflow_url(settings, name)
        emit_json({**asdict(outcome), "totals": totals, "workflow_id": name, "workflow_url": url})
    else:
        balance_sheet(outcome.counts, f"re-normalising {outcome.outcome}")
        if outcome.totals.failed:
            say("Why records were rejected: gtmc dead-letters list")
    if not outcome.is_success:
        raise fail(GtmcError(outcome.error_code, outcome.error, next_step=outcome.next_step))


def _request(scope: Scope) -> SyncRequest:
    row = scope.row
    return SyncRequest(
        row.tenant_id, row.id, row.type, SyncMode.FULL, trigger=Trigger.RENORMALIZE, requested_by=cli_actor()
    )
