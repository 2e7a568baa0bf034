"""`gtmc upgrade-data`: plans and mends what earlier versions stored wrongly, tenant by tenant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from gtmc_pipelines.cli import upgrade_views as views
from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.console import AsJson, say, stoppable, working
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connectors import connector_type
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import list_tenants, require_tenant
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.upgrades.mending import Mended, Mender, accept, decline
from gtmc_pipelines.workflows.upgrades.planning import Plan, Proposal, Task, plan
from gtmc_pipelines.workflows.upgrades.steps import Way

_LEFT = "Not followed any more; what was begun goes on. Run the same command again: it goes on where this one was."

Tenants = Annotated[list[str] | None, typer.Option("--tenant", "-t", help="Only this tenant; repeatable.")]
Connectors = Annotated[list[str] | None, typer.Option("--connector", "-c", help="Only this type; repeatable.")]
Accepting = Annotated[
    list[str] | None, typer.Option("--accept-defaults", help="Take the offered defaults into this tenant's mappings.")
]
Declining = Annotated[
    list[str] | None, typer.Option("--decline-defaults", help="Leave this tenant's mappings, and don't offer it again.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.command("upgrade-data")(upgrade_data)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Whom and what the command is about."""

    tenants: Sequence[str]
    connectors: Sequence[ConnectorType]
    accepting: Collection[str]
    declining: Collection[str]
    with_syncs: bool

    def chosen(self, found: Plan) -> list[Task]:
        """Tasks that are done now."""
        return [
            task for task in found.tasks if task.is_open and (self.with_syncs or task.step.way is not Way.FULL_SYNC)
        ]


def upgrade_data(
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this nothing is changed.")] = False,
    sync: Annotated[bool, typer.Option("--sync", help="The full syncs too: they ask the vendors.")] = False,
    tenant: Tenants = None,
    connector: Connectors = None,
    accept_defaults: Accepting = None,
    decline_defaults: Declining = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=50, help="Connectors mended at once.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Plan and mend what earlier versions stored wrongly. Run it after each upgrade, once the new workers run.

    Without --apply it only says what is to be done: rows made again from raw, streams that must ask the vendor once
    more (only with --sync; Office 365 never without its agreement), and what the default mappings have by now that a
    tenant's own mappings lack. Those are changed for nobody unasked: --accept-defaults takes them.

    Stopped or killed anywhere, run it again: what was begun is gone on with, what is done isn't done twice. Each step
    is in the audit log.
    """
    with opened(pool_size=at_once + 2) as (settings, database):
        choice = _chosen(database, tenant, connector, accept_defaults, decline_defaults, with_syncs=sync)
        found = plan(database, choice.tenants, choice.connectors)
        if not apply:
            views.show_plan(found, with_syncs=sync, as_json=as_json)
            return
        _decide(database, found.proposals, choice)
        with stoppable(_LEFT):
            mended = _mend(settings, database, choice, at_once, is_quiet=as_json)
        after = plan(database, choice.tenants, choice.connectors)
    views.show_result(after, mended, as_json=as_json)
    if any(each.error for each in mended):
        raise typer.Exit(1)


def _chosen(
    database: Database,
    tenants: Sequence[str] | None,
    connectors: Sequence[str] | None,
    accepting: Sequence[str] | None,
    declining: Sequence[str] | None,
    *,
    with_syncs: bool,
) -> _Choice:
    accepted, declined = frozenset(accepting or ()), frozenset(declining or ())
    for name in (*(tenants or ()), *accepted, *declined):
        require_tenant(database, name)
    if both := sorted(accepted & declined):
        raise Misuse("accepted_and_declined", f"{both[0]} both accepts and declines the defaults.")
    if tenants and (others := sorted((accepted | declined) - set(tenants))):
        raise Misuse(
            "tenant_left_out",
            f"{others[0]} is told what to do with its mappings, but isn't among the tenants.",
            next_step=f"Add --tenant {others[0]}, or leave --tenant out.",
        )
    everybody = tenants or [each.id for each in list_tenants(database)]
    kinds = [connector_type(name) for name in connectors or ()]
    return _Choice(tuple(dict.fromkeys(everybody)), kinds, accepted, declined, with_syncs)


def _decide(database: Database, proposals: Sequence[Proposal], choice: _Choice) -> None:
    """Offers first: an accepted one is part of what the rows are made again by."""
    for proposal in proposals:
        if proposal.row.tenant_id in choice.accepting:
            accept(database, proposal, actor=cli_actor())
        elif proposal.row.tenant_id in choice.declining:
            decline(database, proposal, actor=cli_actor())


def _mend(settings: Settings, database: Database, choice: _Choice, at_once: int, *, is_quiet: bool) -> list[Mended]:
    tasks = choice.chosen(plan(database, choice.tenants, choice.connectors))
    if not tasks:
        return []
    mended: list[Mended] = []
    with SyncClient.open(settings) as client, working(f"0 of {len(tasks)} done…") as tell_done:
        client.require_workers()
        tell = views.silent if is_quiet else views.tell_begun
        mender = Mender(database, client, actor=cli_actor(), at_once=at_once, tell=tell)
        for each in mender.mend(tasks):
            mended.append(each)
            tell_done("{} of {} done…", len(mended), len(tasks))
            if not is_quiet:
                views.tell_ended(each)
    if not is_quiet:
        say("")
    return mended
