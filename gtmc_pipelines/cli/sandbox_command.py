"""gtmc sandbox: imitated vendors on this machine, served until stopped."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gtmc_pipelines.cli.console import AsJson, new_table, say, say_unbroken, show
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.sandbox.options import SandboxMisuse, SandboxOptions, parse_size
from gtmc_pipelines.sandbox.server import serve

_LAST_FIRST_PORT = 65_535 - 9  # five vendors, two ports each
_NEXT_STEP = "See `gtmc sandbox --help`."


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.command("sandbox")(sandbox)


def sandbox(
    as_json: AsJson = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            "--ports-from",
            min=0,
            max=_LAST_FIRST_PORT,
            help="First port: http, then https, then the next vendor. 0: free.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 7,
    vendor: Annotated[list[str] | None, typer.Option(help="Only these vendors. Repeat it.")] = None,
    size: Annotated[list[str] | None, typer.Option(help="Live records a tenant: contacts=200000. Repeat it.")] = None,
    tenants: Annotated[
        str, typer.Option(help="Tenants that have data, comma-separated.")
    ] = "acme,globex,initech,northwind",
    state_dir: Annotated[Path | None, typer.Option(help="Keep CA, grants and changes here for the next start.")] = None,
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option(help="Register this callback too, at Salesforce and Microsoft. Repeat it."),
    ] = None,
) -> None:
    """Serve imitated vendors until stopped: real protocols, made-up data, faults on request."""
    try:
        options = SandboxOptions(
            host=host,
            first_port=port,
            seed=seed,
            vendors=tuple(vendor or ()),
            tenants=tuple(name.strip() for name in tenants.split(",") if name.strip()),
            sizes=dict(parse_size(text) for text in size or ()),
            state_dir=state_dir,
            redirect_uris=tuple(redirect_uri or ()),
        )
        serve(options, _print_json if as_json else _print_table)
    except SandboxMisuse as misuse:
        raise Misuse("sandbox_misuse", str(misuse), next_step=_NEXT_STEP) from None


def _print_json(announcement: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(announcement) + "\n")
    sys.stdout.flush()


def _print_table(announcement: dict[str, Any]) -> None:
    table = new_table(f"sandbox, seed {announcement['seed']}")
    for column in ("vendor", "http", "https"):
        table.add_column(column)
    for name, vendor in announcement["vendors"].items():
        table.add_row(name, vendor["http"], vendor["https"])
    show(table)
    say_unbroken("CA for https: {}", announcement["ca_file"])
    for vendor in announcement["vendors"].values():
        for example in (
            f"curl {vendor['docs']}",
            f"curl '{vendor['http']}/_sandbox/journal?limit=5'",
            f'curl -X POST {vendor["http"]}/_sandbox/knobs -d \'{{"fault":"rate_limit","count":1}}\'',
        ):
            say_unbroken("  {}", example)
    say("Test credentials are printed with --json. Stop with Ctrl-C.")
