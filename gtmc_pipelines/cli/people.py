"""`gtmc people`: finds one person in everything kept of a tenant, and erases them for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.console import AsJson, Tenant, emit, emit_json, say, say_unbroken
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.shown_text import shown
from gtmc_pipelines.storage import leases
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.person_erasure import Progress, erase_person
from gtmc_pipelines.storage.person_search import NOT_KNOWN, Person, address_of, find_person, identify, looked_for
from gtmc_pipelines.storage.tagged_addresses import find_tagged
from gtmc_pipelines.storage.tenants import require_tenant
from gtmc_pipelines.workflows.composition import key_ring

group = typer.Typer(help="People: find one in everything kept, and erase them.", no_args_is_help=True)

Email = Annotated[str, typer.Option("--email", help="The person's e-mail address.")]
Ids = Annotated[
    list[str] | None,
    typer.Option("--external-id", help="An id too, as salesforce:003…; without the vendor: of any. Repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.add_typer(group, name="people")


@group.command("find")
def find(tenant: Tenant, email: Email, external_ids: Ids = None, as_json: AsJson = False) -> None:
    """Count the rows that mention a person, by table and column. No value is shown."""
    with opened(pool_size=1) as (_, database):
        person = _identified(database, tenant, email, external_ids)
        found, tagged = find_person(database, tenant, person), find_tagged(database, tenant, person.email)
    if as_json:
        emit_json({"tenant": tenant, "found": found, "tagged": tagged})
        return
    _tell_tagged(tagged, "Not counted")
    if not found:
        say("Nothing that is kept of {} mentions this person.", tenant)
        return
    emit([{"column": name, "rows": number} for name, number in found.items()], ("column", "rows"), as_json=False)
    say("{:,} mentions in {} columns.", sum(found.values()), len(found))
    say_unbroken("  Next: gtmc people erase --tenant {} --email {}", tenant, email)


@group.command("erase")
def erase(
    tenant: Tenant,
    email: Email,
    external_ids: Ids = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask for the tenant's id.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person everywhere, keep them from coming back, and prove that nothing is left.

    Rows of their own are deleted; meetings and others' records lose them. Interrupted, it can be run again.
    """
    with opened(pool_size=2) as (settings, database):
        ring = key_ring(settings)
        person = _identified(database, tenant, email, external_ids)
        with database.tenant(tenant) as handle:
            leases.refuse_while_syncing(handle, tenant, "nothing was erased")
        if not yes:
            confirm(tenant, "This erases the person for good; it can't be undone.")
        counts = erase_person(database, ring, tenant, person, actor=cli_actor(), progress=progress(as_json))
        left, tagged = find_person(database, tenant, person), find_tagged(database, tenant, person.email)
    if as_json:
        proof = {"left": left, "tagged": tagged, "looked_for": looked_for(person), "not_known": NOT_KNOWN}
        emit_json({"tenant": tenant, "erased": counts, **proof})
    else:
        emit([{"table": name, "rows": number} for name, number in counts.items()], ("table", "rows"), as_json=False)
        say("Proof: {:,} mentions left in any text or jsonb column.", sum(left.values()))
        say_unbroken("  Looked for: {}.", looked_for(person))
        say_unbroken("  Can't know: {}.", NOT_KNOWN)
        _tell_tagged(tagged, "Not erased")
    if left:
        raise Misuse(
            "person_not_erased",
            f"Mentions of the person that are left: {sum(left.values()):,}, in {', '.join(left)}.",
            next_step="Change these by hand (a connector's options, an administrator's own log), and run it again.",
        )


def _tell_tagged(tagged: Mapping[str, int], what: str) -> None:
    """Nobody is to take an address for found, or erased, that only looks like the one that was named."""
    if tagged:
        named = ", ".join(f"{tag or 'without a tag'} ({number:,})" for tag, number in tagged.items())
        say(
            "[yellow]{}[/yellow]: {:,} mentions of addresses that differ only by a tag: {}. Name each with --email.",
            what,
            sum(tagged.values()),
            named,
        )


def confirm(tenant: str, warning: str) -> None:
    """Ask for the tenant's id to be typed. Raises Misuse `not_confirmed` for anything else, or no answer."""
    say("{}", warning)
    try:
        typed = typer.prompt(
            f"Type the tenant's id ({shown(tenant)}) to go on", default="", show_default=False, err=True
        )
    except typer.Abort:
        typed = ""
    if typed.strip() != tenant:
        raise Misuse("not_confirmed", "That is not the tenant's id; nothing was done.", next_step="Or pass --yes.")


def progress(is_quiet: bool) -> Progress:
    """Prints a table and how many of its rows are done."""

    def tell(table: str, number: int) -> None:
        if not is_quiet:
            say("  {}: {:,}", table, number)

    return tell


def _identified(database: Database, tenant: str, email: str, external_ids: list[str] | None) -> Person:
    require_tenant(database, tenant)
    with database.tenant(tenant) as handle:
        return identify(handle, tenant, address_of(email), _by_source(external_ids or []))


def _by_source(external_ids: list[str]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    sources = [kind.value for kind in ConnectorType]
    for text in external_ids:
        source, _, rest = text.partition(":")
        given = {source: rest} if source in sources and rest else dict.fromkeys(sources, text)
        for name, external_id in given.items():
            found.setdefault(name, set()).add(external_id)
    return {name: frozenset(ids) for name, ids in found.items()}
