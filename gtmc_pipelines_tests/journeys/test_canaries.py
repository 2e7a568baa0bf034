"""After real syncs at log level DEBUG, no token, secret or person is found anywhere but in its own place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines_tests.connectors.salesforce_scene import Org
from gtmc_pipelines_tests.defs.reading import sentence
from gtmc_pipelines_tests.journeys.desk import Desk, Said

pytestmark = pytest.mark.services

ADDRESS = re.compile(rb"[\w.+'-]{1,64}(?:@|%40)[\w-]+(?:\.[\w-]+)+")
PEOPLES_TABLES = (
    "public.accounts",
    "public.people",
    "public.opportunities",
    "public.activities",
    "public.intent_signals",  # this and the next of other tests' tenants
    "public.fathom_meetings",
    "public.dead_letters",
)


def test_secrets_and_people_stay_where_they_belong(
    desk: Desk,
    tenant: str,
    org: Org,
    database: Database,
    postgres_url: str,
    services_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = ("--tenant", tenant, "--connector", "salesforce")
    loud = desk.with_(GTMC_LOG_LEVEL="DEBUG")
    said = [loud.gtmc("connectors", "add", "--tenant", tenant, "--type", "salesforce")]
    with loud.worker() as log:
        said.append(loud.log_in(*here, "--login-hint", org.name))
        secrets = dict(_tokens(desk, database, tenant, "first"))
        said += _syncs_with_trouble(loud, org, here)
        secrets |= _tokens(desk, database, tenant, "renewed")
        _dagster_run(loud, tenant, monkeypatch)
        assert " DEBUG " in log.read_text()  # the loudest level did speak
    assert len(set(secrets.values())) == 4, "the session was renewed and the refresh token rotated"
    secrets["client secret"] = org.client_secret
    secrets["encryption key"] = desk.environment["CONNECTOR_ENCRYPTION_KEY"]
    people = {str(one["Email"]).lower().encode() for one in org.truth("Contact").values() if one["Email"]}
    assert len(people) > 1_000

    seen = {}
    for place, content in _outside(desk.home, services_home, said, postgres_url):
        for name, value in secrets.items():
            assert value.encode() not in content, f"{name} stands in {place}"
        found = {address.lower().replace(b"%40", b"@") for address in ADDRESS.findall(content)} & people
        if not place.startswith(("raw.", *PEOPLES_TABLES)):
            assert not found, f"{len(found)} people stand in {place}"
        seen[place] = (len(found), tenant.encode() in content)
    assert seen["public.people"] == (len(people), True)  # the net catches what is there
    assert any(has_tenant for place, (_, has_tenant) in seen.items() if "/temporal/" in place)


def _syncs_with_trouble(desk: Desk, org: Org, here: tuple[str, ...]) -> Iterator[Said]:
    """A full sync whose session expires, a record without an id, a page that breaks off, a changed record."""
    org.break_("expired_session", count=1)
    org.break_("record_without_id", count=1, path="query")
    full = desk.gtmc("sync", *here, "--full")
    assert full.status == 0, full.err
    yield full
    org.mutate("Contact", "update", count=3)
    org.break_("malformed_page", path="query")
    broken = desk.gtmc("sync", *here, "--stream", "contacts")
    assert broken.status == 1, broken.out
    yield broken
    org.ask("DELETE", "knobs")
    for command in (("syncs", "list"), ("connectors", "list"), ("dead-letters", "list"), ("connectors", "show", *here)):
        yield desk.gtmc(*command)


def _dagster_run(desk: Desk, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tenant materialized, with everything Dagster stores under the desk."""
    from gtmc_pipelines.definitions import defs

    for name, value in {**desk.environment, "GTMC_HOME": str(desk.home)}.items():
        monkeypatch.setenv(name, value)
    folder = desk.home / "dagster"
    folder.mkdir()
    with dg.instance_for_test(temp_dir=str(folder)) as instance:
        instance.add_dynamic_partitions("salesforce_tenants", [tenant])
        job = defs.resolve_job_def("salesforce_sync")
        result = job.execute_in_process(instance=instance, partition_key=tenant, raise_on_error=False)
    assert result.success, sentence(result)


def _tokens(desk: Desk, database: Database, tenant: str, when: str) -> Mapping[str, str]:
    keys = KeyRing.from_hex(desk.environment["CONNECTOR_ENCRYPTION_KEY"])
    row = require_connector(database, tenant, "salesforce")
    held = StoredCredentials(database, keys, tenant, row.id).read()
    return {f"{when} {name}": held[name].reveal() for name in ("access_token", "refresh_token")}


def _outside(home: Path, services_home: Path, said: list[Said], postgres_url: str) -> Iterator[tuple[str, bytes]]:
    """Everything written anywhere: logs, outputs, Dagster's storage, Temporal's database, every table."""
    for folder in (home, services_home / "temporal"):
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                yield str(file), file.read_bytes()
    for one in said:
        yield "what a command printed", (one.out + one.err).encode()
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        for (table,) in _all(connection, "SELECT relid::regclass::text FROM pg_stat_user_tables"):
            name = table if "." in table else f"public.{table}"
            rows = _all(connection, f"SELECT r::text FROM {table} r")
            yield name, "\n".join(row for (row,) in rows).encode()


def _all(connection: psycopg.Connection[Any], statement: str) -> list[Any]:
    return connection.execute(statement.encode()).fetchall()
