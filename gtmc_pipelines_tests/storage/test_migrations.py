"""The schema: frozen migrations, the tables as code sees them, and the model are one."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import ModuleType
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, NullPool, create_engine, make_url

from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.entities import ENTITIES
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.audit import verify_chain
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.data_tables import CANONICAL, RAW
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.migrate import current_revision, migrate
from gtmc_pipelines.storage.tables import METADATA
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines_tests.storage.conftest import libpq


@pytest.mark.services
def test_the_migrated_schema_is_the_one_the_code_describes(postgres_url: str, database: Database) -> None:
    engine = create_engine(postgres_url, poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: kind != "schema" or name in {None, "raw"},
            },
        )
        differences = compare_metadata(context, METADATA)
    assert differences == []


@pytest.mark.services
def test_checks_and_sequences_are_the_ones_the_code_describes(postgres_url: str, database: Database) -> None:
    described = {
        str(check.name)
        for table in METADATA.tables.values()
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }
    with psycopg.connect(libpq(postgres_url)) as connection:
        checks = connection.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
        ).fetchall()
        sequence = connection.execute("SELECT data_type FROM pg_sequences WHERE sequencename = 'batch_ids'").fetchone()
    assert {name for (name,) in checks} == described
    assert len(described) == 7
    assert sequence == ("bigint",)


def test_every_entity_field_is_a_column_of_its_type() -> None:
    for entity, spec in ENTITIES.items():
        columns = CANONICAL[entity].columns
        assert CANONICAL[entity].name == spec.table
        for field in spec.fields:
            assert columns[field.column].nullable is not field.is_required, field.column
        assert {"id", "tenant_id", "source", "external_id", "source_updated_at", "source_data", "deleted_at"} <= set(
            columns.keys()
        )


def test_every_stream_has_its_raw_table() -> None:
    assert set(RAW) == {stream.raw_table for streams in STREAMS.values() for stream in streams}


@pytest.mark.services
def test_migrating_twice_changes_nothing(new_database_url: Callable[[], str]) -> None:
    url = new_database_url()
    assert current_revision(url) is None
    first = migrate(url)
    assert migrate(url) == first == current_revision(url)


@pytest.mark.services
def test_processes_may_migrate_the_same_database_at_once(new_database_url: Callable[[], str]) -> None:
    program = "import sys; from gtmc_pipelines.storage.migrate import migrate; print(migrate(sys.argv[1]))"
    command = [sys.executable, "-c", program, new_database_url()]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ended = [(process.communicate(timeout=60), process.returncode) for process in started]
    assert [code for _, code in ended] == [0] * 4, ended
    assert len({output for (output, _), _ in ended}) == 1


@pytest.mark.services
def test_threads_may_migrate_the_same_and_different_databases_at_once(
    new_database_url: Callable[[], str],
) -> None:
    urls = [new_database_url() for _ in range(3)] * 4
    with ThreadPoolExecutor(len(urls)) as pool:
        revisions = set(pool.map(migrate, urls))
    assert len(revisions) == 1
    for url in set(urls):
        open_database(url).close()


@pytest.mark.services
def test_a_database_that_was_never_migrated_is_named_with_the_next_step(new_database_url: Callable[[], str]) -> None:
    with pytest.raises(Misuse, match=r"empty_.* is not migrated.*gtmc up") as raised:
        open_database(new_database_url())
    assert raised.value.code == "database_not_ready"


@pytest.fixture
def login(superuser: psycopg.Connection[Any]) -> Iterator[str]:
    """An ordinary login: no superuser, may not create roles; its password is its name."""
    name = f"login_{uuid.uuid4().hex[:10]}"
    superuser.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
    yield name
    superuser.execute(f"DROP ROLE {name}")


@pytest.mark.services
def test_an_ordinary_login_owns_the_schema_and_still_sees_nothing_without_a_tenant(
    new_database_url: Callable[[], str], superuser: psycopg.Connection[Any], login: str
) -> None:
    url = make_url(new_database_url()).set(username=login, password=login)
    superuser.execute(f"GRANT gtmc_app, gtmc_fleet, gtmc_operator, gtmc_eraser TO {login} WITH INHERIT FALSE")
    superuser.execute(f"ALTER DATABASE {url.database} OWNER TO {login}")
    text = url.render_as_string(hide_password=False)
    migrate(text)
    database = open_database(text)
    add_tenant(database, "acme")
    add_connector(database, "acme", "salesforce")
    database.close()
    with psycopg.connect(libpq(text)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (login,)
        assert connection.execute("SELECT count(*) FROM connectors").fetchone() == (0,)
    with psycopg.connect(libpq(text)) as connection:
        connection.execute("SELECT set_config('gtmc.tenant_id', 'acme', true)")
        assert connection.execute("SELECT count(*) FROM connectors").fetchone() == (1,)
    superuser.execute(f"DROP DATABASE {url.database} WITH (FORCE)")
    superuser.execute(f"REVOKE gtmc_app, gtmc_fleet, gtmc_operator, gtmc_eraser FROM {login}")


@pytest.mark.services
def test_logs_written_before_there_were_heads_get_theirs_whoever_owns_the_schema(
    new_database_url: Callable[[], str], superuser: psycopg.Connection[Any], login: str
) -> None:
    url = make_url(new_database_url()).set(username=login, password=login)
    superuser.execute(f"GRANT gtmc_app, gtmc_fleet, gtmc_operator, gtmc_eraser TO {login} WITH INHERIT FALSE")
    superuser.execute(f"ALTER DATABASE {url.database} OWNER TO {login}")
    text = url.render_as_string(hide_password=False)
    migrate(text)
    database = open_database(text)
    add_tenant(database, "acme")
    add_connector(database, "acme", "salesforce")
    with psycopg.connect(libpq(text)) as connection:  # back to how it was
        connection.execute("DROP TRIGGER audit_advance ON audit_log; DROP TRIGGER audit_seal ON audit_log")
        connection.execute("DROP FUNCTION audit_advance, audit_forget, audit_seal")
        connection.execute("DROP TABLE audit_heads, left_out_slices, stream_fields, data_upgrades, connection_owners")
        connection.execute("UPDATE alembic_version SET version_num = '0010'")
    migrate(text)
    with database.tenant("acme") as handle:
        chain = verify_chain(handle, "acme")
    database.close()
    assert (chain.is_sound, chain.length, chain.written) == (True, 2, 2)
    superuser.execute(f"DROP DATABASE {url.database} WITH (FORCE)")
    superuser.execute(f"REVOKE gtmc_app, gtmc_fleet, gtmc_operator, gtmc_eraser FROM {login}")


@pytest.mark.services
def test_a_login_that_may_not_act_as_the_app_role_is_told_the_grant(
    postgres_url: str, database: Database, login: str
) -> None:
    url = make_url(postgres_url).set(username=login, password=login)
    with pytest.raises(Misuse, match=f"GRANT gtmc_app, gtmc_fleet, gtmc_operator, gtmc_eraser TO {login}") as raised:
        open_database(url.render_as_string(hide_password=False))
    assert raised.value.code == "database_not_ready"


@pytest.mark.services
def test_a_login_that_may_create_roles_makes_them_itself(
    new_database_url: Callable[[], str], superuser: psycopg.Connection[Any], login: str
) -> None:
    """On a server where nobody has migrated: the roles are made anew under other names, by the same words."""
    made = f"made_{uuid.uuid4().hex[:8]}"
    words = revision_0005().ROLES.replace("gtmc_app", f"{made}_app")
    words = words.replace("gtmc_fleet", f"{made}_fleet").replace("gtmc_operator", f"{made}_operator")
    url = make_url(new_database_url()).set(username=login, password=login)
    superuser.execute(f"ALTER ROLE {login} CREATEROLE")
    superuser.execute(f"ALTER DATABASE {url.database} OWNER TO {login}")
    with psycopg.connect(libpq(url.render_as_string(hide_password=False)), autocommit=True) as connection:
        for _ in range(2):
            connection.execute(words)
        connection.execute(f"SET ROLE {made}_app")
    superuser.execute(f"DROP DATABASE {url.database} WITH (FORCE)")
    superuser.execute(f"DROP ROLE {made}_app, {made}_fleet, {made}_operator")


def test_an_unreachable_database_is_named_without_its_password() -> None:
    for attempt in (open_database, migrate, current_revision):
        with pytest.raises(Misuse) as raised:
            attempt("postgres://someone:hunter2@127.0.0.1:1/shop")
        assert raised.value.code == "database_unreachable"
        assert "127.0.0.1:1/shop" in str(raised.value)
        assert "hunter2" not in repr(raised.value)
        assert raised.value.__cause__ is None


@pytest.mark.parametrize("text", ["", "::", "mysql://root:hunter2@localhost/shop", "not a url hunter2"])
def test_a_url_of_something_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(Misuse) as raised:
        open_database(text)
    assert raised.value.code == "bad_database_url"
    assert "hunter2" not in repr(raised.value)


def revision_0005() -> ModuleType:
    """The revision that makes roles (its file's name starts with a letter, so it imports)."""
    return import_module("gtmc_pipelines.storage.migrations.versions.r0005_roles_and_row_security")
