"""What the storage tests share: a connector of a fresh tenant, a key ring, an empty database to migrate."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.engine import Database, begin_tenant
from gtmc_pipelines.vault.keyring import KeyRing


@pytest.fixture
def connector(database: Database, tenant: str) -> ConnectorRow:
    """A Salesforce connector that no other test has."""
    return add_connector(database, tenant, "salesforce", options={"api_version": "60.0"})


@pytest.fixture
def keyring() -> KeyRing:
    return KeyRing(os.urandom(32))


@pytest.fixture
def superuser(postgres_url: str, database: Database) -> Iterator[psycopg.Connection[Any]]:
    """The login itself, to look at what the app role can't see."""
    with psycopg.connect(libpq(postgres_url), autocommit=True) as connection:
        yield connection


@pytest.fixture
def writer(database: Database, tenant: str) -> Iterator[psycopg.Connection[Any]]:
    """The write path's kind of connection, inside a transaction of the tenant."""
    connection = database.raw_connection()
    try:
        begin_tenant(connection, tenant)
        yield connection
    finally:
        connection.close()


@pytest.fixture
def new_database_url(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases on the same server; they are dropped in the end."""
    names: list[str] = []

    def make() -> str:
        names.append(f"empty_{uuid.uuid4().hex[:10]}")
        with psycopg.connect(libpq(postgres_url), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {names[-1]}")
        return make_url(postgres_url).set(database=names[-1]).render_as_string(hide_password=False)

    yield make
    with psycopg.connect(libpq(postgres_url), autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def libpq(url: str) -> str:
    """The URL as psycopg alone takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
