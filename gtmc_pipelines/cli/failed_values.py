"""`gtmc failed-values`: optional values that couldn't be read, so that their columns are empty."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from gtmc_pipelines.cli.console import AsJson, emit, emit_json, say
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.mapping.reasons import REASONS
from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.storage.failed_values import FailedValueSum, list_failed, sums
from gtmc_pipelines.storage.tenants import require_tenant

SUMS = ("connector", "stream", "column", "field", "reason_code", "records", "because")
RECORDS = ("connector", "stream", "external_id", "column", "field", "reason_code", "last_seen_at")

group = typer.Typer(
    help="Optional values that couldn't be read: their records are written without them.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.add_typer(group, name="failed-values")


@group.command("list")
def list_command(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only this tenant's.")] = None,
    connector: Annotated[str | None, typer.Option("--connector", "-c", help="Only of this type or id.")] = None,
    stream: Annotated[str | None, typer.Option("--stream", "-s", help="Only of this stream.")] = None,
    records: Annotated[
        bool, typer.Option("--records", help="Every record with its id instead of sums; needs --tenant.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many records, newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Values that stayed out of their columns: how many by stream, column and reason, or record by record.

    An optional value that doesn't fit its column costs that column only; the record is written. The value itself is
    in the raw extract and never shown here. Correct the mapping (gtmc mappings set, then apply) or the record at the
    vendor: what is written with a value leaves this list.
    """
    if records and tenant is None:
        raise typer.BadParameter("give --tenant with --records")
    with opened() as (_, database):
        if tenant is not None:
            require_tenant(database, tenant)
        if tenant is not None and connector is not None:
            connector = require_connector(database, tenant, connector).id
        if records:
            assert tenant is not None
            found = [_record(asdict(each)) for each in list_failed(database, tenant, connector, stream, limit)]
        else:
            found = [_sum(each) for each in sums(database, tenant, connector, stream)]
    if as_json:
        emit_json(found)
        return
    columns = RECORDS if records else (("tenant",) if tenant is None else ()) + SUMS
    emit(found, columns, as_json=False, title="Failed values")
    if found and not records:
        say("Which records: gtmc failed-values list --tenant <id> --records")


def _sum(found: FailedValueSum) -> dict[str, Any]:
    return {
        "tenant": found.tenant_id,
        "connector": found.connector,
        "stream": found.stream,
        "column": f"{found.table_name}.{found.column_name}",
        "field": found.source_field,
        "reason_code": found.reason_code,
        "records": found.records,
        "last_seen_at": found.last_seen_at,
        "because": because(found.reason_code, found.source_field),
    }


def _record(found: dict[str, Any]) -> dict[str, Any]:
    column = f"{found.pop('table_name')}.{found.pop('column_name')}"
    return {**found, "column": column, "field": found.pop("source_field")}


def because(code: str, field: str) -> str:
    """The sentence of a reason."""
    if code == "unstorable":
        return "PostgreSQL refuses what the mapping made of it."
    return REASONS.get(code, "").format(field=field or "The value")
