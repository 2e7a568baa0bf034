"""`python -m gtmc_pipelines_tests.bench.rotation`: 10,000 sealed secrets under a new key within a minute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from psycopg.types.json import Jsonb
from sqlalchemy import make_url

from gtmc_pipelines.settings import child_environment
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.postgres import EmbeddedPostgres
from gtmc_pipelines.storage.migrate import migrate
from gtmc_pipelines.vault.keyring import KeyRing, SealContext

MOST_SECONDS = 60.0


def bench(
    tenants: Annotated[int, typer.Option(help="Tenants; each has a connector of every type.")] = 1_430,
    connectors: Annotated[int, typer.Option(help="Connectors a tenant, up to five.")] = 5,
) -> None:
    """Seal secrets with an old key, rotate by the command itself, and fail when it takes longer than a minute."""
    old, new = os.urandom(32), os.urandom(32)
    with tempfile.TemporaryDirectory(prefix="gtmc-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        server = EmbeddedPostgres(home / "postgres", port=free_port())
        server.start()
        try:
            server.ensure_database("bench")
            migrate(server.url("bench"))
            secrets = _fill(server.url("bench"), KeyRing(old), tenants, connectors)
            seconds = _rotate(server.url("bench"), home, old, new, secrets)
        finally:
            server.stop()
    sys.stdout.write(f"{secrets:,} secrets of {tenants:,} tenants: {seconds:.1f} s (at most {MOST_SECONDS:g})\n")
    if seconds > MOST_SECONDS:
        raise typer.Exit(1)


def _fill(url: str, ring: KeyRing, tenants: int, connectors: int) -> int:
    count = 0
    with psycopg.connect(
        make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    ) as connection:
        for number in range(tenants):
            tenant = f"tenant-{number:05}"
            connection.execute("INSERT INTO tenants (id, name, slug) VALUES (%s, %s, %s)", (tenant, tenant, tenant))
            for kind, fields in _KINDS[:connectors]:
                place = f"{tenant}-{kind}"
                secrets = {name: ring.seal(os.urandom(30).hex(), SealContext(tenant, place, name)) for name in fields}
                count += len(secrets)
                connection.execute(
                    "INSERT INTO connectors (id, tenant_id, type, name, config) VALUES (%s, %s, %s, %s, %s)",
                    (place, tenant, kind, kind, Jsonb({"options": {}, "secrets": secrets})),
                )
    return count


def _rotate(url: str, home: Path, old: bytes, new: bytes, secrets: int) -> float:
    environment = {
        "GTMC_HOME": str(home),
        "GTMC_DATABASE_URL": url,
        "CONNECTOR_ENCRYPTION_KEY": new.hex(),
        "CONNECTOR_ENCRYPTION_KEYS_RETIRED": old.hex(),
    }
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "gtmc_pipelines.cli.main", "keys", "rotate", "--json"],
        env=child_environment(environment),
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds = time.perf_counter() - started
    report: dict[str, Any] = json.loads(done.stdout)
    assert (report["resealed_secrets"], report["secrets_left"]) == (secrets, 0), report
    return seconds


_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("salesforce", ("access_token", "refresh_token")),
    ("o365", ("access_token", "refresh_token")),
    ("customerio", ("api_key",)),
    ("delivrai", ("api_key",)),
    ("fathom", ("api_key",)),
)


if __name__ == "__main__":
    typer.run(bench)
