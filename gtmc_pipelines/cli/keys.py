"""`gtmc keys`: makes a key that seals stored tokens, and seals them again when the key changes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeVar

import typer

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.console import AsJson, counted, emit, emit_json, say, say_unbroken
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.rotation import Census, Resealed, reseal, take_census
from gtmc_pipelines.storage.tenants import list_tenants
from gtmc_pipelines.vault.keyring import KeyRing, generate_key_hex
from gtmc_pipelines.workflows.composition import key_ring

group = typer.Typer(help="Keys that seal stored tokens.", no_args_is_help=True)

_AT_ONCE = 4  # tenants; one waits for PostgreSQL while another is sealed
_SHOWN = 50
_Result = TypeVar("_Result")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.add_typer(group, name="keys")


@group.command("generate")
def generate() -> None:
    """Print a fresh key for CONNECTOR_ENCRYPTION_KEY, alone on its line. Keep it: without it no token can be opened."""
    sys.stdout.write(generate_key_hex() + "\n")


@group.command("rotate")
def rotate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Seal every stored secret again with the active key, while syncs go on; then prove that no other key is named.

    First start every process with CONNECTOR_ENCRYPTION_KEY set to the new key and
    CONNECTOR_ENCRYPTION_KEYS_RETIRED to the old one. Killed in the middle, it goes on when it is run again.
    """
    with opened(pool_size=_AT_ONCE) as (settings, database):
        ring = key_ring(settings)
        done = Resealed()
        if not dry_run:
            _say(f"1 add      key {ring.writes.key_id} is active; {len(ring.key_ids) - 1} retired only open", as_json)
            done = _reseal_all(database, ring, is_quiet=as_json)
            _say(f"2 re-seal  {done.secrets:,} secrets of {done.connectors:,} connectors sealed again", as_json)
        census = _count_all(database, ring, is_quiet=as_json)
    left = census.left(ring)
    if as_json:
        emit_json(_report(ring, census, done, dry_run))
    else:
        _show(ring, census, dry_run)
    if census.unopened or (left and not dry_run):
        raise _unfinished(census, left, dry_run)


def _reseal_all(database: Database, ring: KeyRing, *, is_quiet: bool) -> Resealed:
    actor = cli_actor()
    connectors = secrets = 0
    tenants = _tenants(database)
    turns = _each(tenants, lambda tenant: reseal(database, ring, tenant, actor=actor))
    for one in _watched(turns, len(tenants), "sealing", is_quiet=is_quiet):
        connectors, secrets = connectors + one.connectors, secrets + one.secrets
    return Resealed(connectors, secrets)


def _count_all(database: Database, ring: KeyRing, *, is_quiet: bool) -> Census:
    census = Census()
    tenants = _tenants(database)
    turns = _each(tenants, lambda tenant: take_census(database, ring, tenant))
    for one in _watched(turns, len(tenants), "verifying", is_quiet=is_quiet):
        census.add(one)
    return census


def _tenants(database: Database) -> list[str]:
    return [tenant.id for tenant in list_tenants(database)]


def _each(tenants: list[str], act: Callable[[str], _Result]) -> Iterator[_Result]:
    """`act` on every tenant, a few at once; what is begun is finished when one fails, the rest is dropped."""
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        yield from pool.map(act, tenants)
    finally:
        pool.shutdown(cancel_futures=True)


def _watched(turns: Iterable[_Result], total: int, what: str, *, is_quiet: bool) -> Iterator[_Result]:
    with counted(turns, total, what, is_quiet=is_quiet) as taken:
        yield from taken


def _report(ring: KeyRing, census: Census, done: Resealed, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "active_key": ring.writes.key_id,
        "format": ring.writes.format,
        "resealed_secrets": done.secrets,
        "resealed_connectors": done.connectors,
        "secrets_left": census.left(ring),
        "by_key": _by_key(ring, census),
        "unopened": _unopened(census),
    }


def _show(ring: KeyRing, census: Census, dry_run: bool) -> None:
    emit(_by_key(ring, census), ("key", "format", "secrets", "standing"), as_json=False, title="stored secrets by key")
    if census.unopened:
        emit(_unopened(census)[:_SHOWN], ("tenant", "connector", "field", "code"), as_json=False, title="don't open")
    left = census.left(ring)
    if dry_run:
        due = left - len(census.unopened)
        say("Dry run: {:,} secrets would be sealed again, nothing was changed.", due)
    elif left == 0:
        _say(
            f"3 verify   all {census.sealed.total():,} stored secrets open and name key {ring.writes.key_id} only",
            False,
        )
        _say("4 retire   no stored secret names another key: " + _retirement(ring), False)
        if ring.writes.format == "v2" and ring.reads_v1:
            _say(
                "5 refuse   none is of the older format: set GTMC_TOKEN_FORMAT=v2-only to refuse it from now on", False
            )


def _retirement(ring: KeyRing) -> str:
    retired = ring.key_ids[1:]
    if not retired:
        return "none is retired, nothing to do"
    return f"drop {', '.join(retired)} from CONNECTOR_ENCRYPTION_KEYS_RETIRED and restart"


def _by_key(ring: KeyRing, census: Census) -> list[dict[str, Any]]:
    found = sorted(
        census.sealed.items(), key=lambda item: (item[0] != ring.writes, item[0].format, str(item[0].key_id))
    )
    return [
        {
            "key": sealed.key_id,
            "format": sealed.format,
            "secrets": count,
            "standing": "current" if sealed == ring.writes else "to be sealed again",
        }
        for sealed, count in found
    ]


def _unopened(census: Census) -> list[dict[str, str]]:
    return [
        {"tenant": one.tenant_id, "connector": one.connector, "field": one.field, "code": one.code}
        for one in sorted(census.unopened)
    ]


def _unfinished(census: Census, left: int, dry_run: bool) -> Misuse:
    if census.unopened:
        first = min(census.unopened)
        return Misuse(
            "secrets_unopened",
            f"{len(census.unopened)} stored secrets don't open, the first is {first.field} of {first.connector} of"
            f" tenant {first.tenant_id}. {'Nothing was changed' if dry_run else 'The others were dealt with'}.",
            next_step="Add the key they were sealed with to CONNECTOR_ENCRYPTION_KEYS_RETIRED, or connect these again.",
        )
    return Misuse(
        "keys_still_named",
        f"{left} stored secrets still name another key: some process seals with it, or changed them just now.",
        next_step="Restart every process with the new CONNECTOR_ENCRYPTION_KEY, then run `gtmc keys rotate` again.",
    )


def _say(text: str, is_quiet: bool) -> None:
    if not is_quiet:
        say_unbroken("[green]✓[/green] {}", text)
