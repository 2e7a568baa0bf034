"""A database that an earlier commit left: every migration carries it over, and everything in it can still be read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, make_url

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.storage.audit import verify_chain
from gtmc_pipelines.storage.connectors import list_connectors
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.cursors import list_states
from gtmc_pipelines.storage.data_tables import METADATA
from gtmc_pipelines.storage.dead_letters import list_letters
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.mappings import list_mappings
from gtmc_pipelines.storage.migrate import current_revision, migrate
from gtmc_pipelines.storage.read_models import connected_tenants, consent_standings, due_connectors
from gtmc_pipelines.storage.sync_history import list_syncs
from gtmc_pipelines.storage.tenants import list_tenants
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines_tests.fixtures.restored import C2A9A3A, key_of, libpq, restore_database

pytestmark = pytest.mark.services

TENANTS = ["acme", "globex", "initech"]
TAKEN_BACK = {"public.stream_cursors": 3}
"""Rows that a migration deletes on purpose: 0015, positions of mailboxes that had never been read."""

_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname), c.relrowsecurity AND c.relforcerowsecurity,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname IN ('public', 'raw') AND c.relname <> 'alembic_version' ORDER BY 1
"""


@dataclass(frozen=True)
class Carried:
    """The dump after all migrations: its URLs (as the owner, as the superuser), and its row counts before them."""

    url: str
    superuser_url: str
    before: dict[str, int]


@pytest.fixture(scope="module")
def carried(postgres_url: str, database: Database) -> Iterator[Carried]:
    """Owned by an ordinary login, whom row security binds: a migration that forgets that changes no row here."""
    name = f"former_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(libpq(postgres_url), autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        superuser.execute(f"GRANT gtmc_app, gtmc_fleet, gtmc_operator, gtmc_eraser TO {name} WITH INHERIT FALSE")
        superuser.execute(f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0")
        there = make_url(postgres_url).set(database=name)
        owner = there.set(username=name, password=name)
        urls = [url.render_as_string(hide_password=False) for url in (owner, there)]
        restore_database(C2A9A3A, urls[0])
        before = counts(urls[1])
        migrate(urls[0])
        yield Carried(*urls, before)
        superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")
        superuser.execute(f"REVOKE gtmc_app, gtmc_fleet, gtmc_operator, gtmc_eraser FROM {name}")
        superuser.execute(f"DROP ROLE {name}")


@pytest.fixture(scope="module")
def former(carried: Carried) -> Iterator[Database]:
    """It, as the other rooms see it."""
    opened = open_database(carried.url)
    yield opened
    opened.close()


def counts(url: str) -> dict[str, int]:
    """Rows of every table, by a login that sees them all."""
    with psycopg.connect(libpq(url)) as connection:
        tables = [name for name, *_ in connection.execute(_TABLES).fetchall()]
        found = [connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name in tables]
    return {name: number[0] for name, number in zip(tables, found, strict=True) if number is not None}


def test_no_migration_loses_a_row_but_on_purpose(carried: Carried) -> None:
    after = counts(carried.superuser_url)
    expected = {name: number - TAKEN_BACK.get(name, 0) for name, number in carried.before.items()}
    assert {name: after.get(name) for name in expected} == expected
    filled = [name for name, number in carried.before.items() if number]
    assert len(filled) >= 28, "the dump has rows in nearly every table"
    assert current_revision(carried.url) == migrate(carried.url)


def test_the_schema_becomes_the_one_the_code_describes(carried: Carried) -> None:
    with create_engine(carried.superuser_url, poolclass=NullPool).connect() as connection:
        options = {
            "include_schemas": True,
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: kind != "schema" or name in {None, "raw"},
        }
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []


def test_every_table_of_a_tenant_is_still_guarded(carried: Carried) -> None:
    with psycopg.connect(libpq(carried.url)) as owner:
        tables = owner.execute(_TABLES).fetchall()
        owned = [name for name, _, has_tenant in tables if has_tenant]
        assert [name for name, is_guarded, has_tenant in tables if has_tenant and not is_guarded] == []
        for name in owned:
            assert owner.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,), name
        owner.execute("SELECT set_config('gtmc.tenant_id', 'acme', true)")
        seen = {name: owner.execute(f"SELECT array_agg(DISTINCT tenant_id) FROM {name}").fetchone() for name in owned}
    strangers = {name: ids for name, (ids,) in ((n, found or (None,)) for n, found in seen.items()) if ids != ["acme"]}
    assert {name: ids for name, ids in strangers.items() if ids is not None} == {}


def test_everything_that_screens_and_schedules_ask_is_answered(former: Database) -> None:
    assert [tenant.id for tenant in list_tenants(former)] == TENANTS
    connectors = list_connectors(former)
    assert len(connectors) == 15
    assert [row.tenant_id for row in connectors if row.status is ConnectorStatus.DISCONNECTED] == ["initech"]
    assert connected_tenants(former, ConnectorType.SALESFORCE) == TENANTS
    assert [standing.tenant_id for standing in consent_standings(former)] == TENANTS
    assert due_connectors(former, None, datetime.now(UTC))
    assert set(list_mappings(former, "globex", _id(former, "globex", "salesforce"))) == {"account", "person"}
    assert len(list_letters(former, "globex")) > 0
    for row in connectors:
        assert list_syncs(former, row.tenant_id, row.id, limit=3)
        with former.tenant(row.tenant_id) as handle:
            states = list_states(handle, row.tenant_id, row.id)
        assert bool(states) is (row.status is not ConnectorStatus.DISCONNECTED)


def test_its_secrets_open_and_its_audit_log_is_whole(former: Database) -> None:
    ring = KeyRing.from_hex(key_of(C2A9A3A), ())
    for row in list_connectors(former):
        held = StoredCredentials(former, ring, row.tenant_id, row.id).read()
        assert bool(held) is (row.status is not ConnectorStatus.DISCONNECTED), (row.tenant_id, row.type)
    for tenant in TENANTS:
        with former.tenant(tenant) as handle:
            chain = verify_chain(handle, tenant)
        assert (chain.is_sound, chain.missing) == (True, 0)


def _id(database: Database, tenant: str, connector: str) -> str:
    return next(row.id for row in list_connectors(database, tenant) if row.type == connector)
