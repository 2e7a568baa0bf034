"""The schema: frozen migrations, the tables as code sees them, and the model are one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, NullPool, create_engine

from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.entities import ENTITIES
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.data_tables import CANONICAL, RAW
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.migrate import current_revision, migrate
from gtmc_pipelines.storage.tables import METADATA
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
    assert len(described) == 5
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
def test_many_processes_may_migrate_the_same_and_different_databases_at_once(
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
