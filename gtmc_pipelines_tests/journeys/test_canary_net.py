"""The net of the canaries catches what it is for: otherwise its silence would mean nothing."""

from __future__ import annotations

import base64
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.journeys.canaries import Net, addresses, files, tables

SECRET = 'canary/+"7c1e"~Zq==%9'
NET = Net({"the canary": SECRET})


@pytest.mark.parametrize(
    "written",
    [
        SECRET.encode(),
        f'{{"key": {SECRET!r}}}'.encode(),
        f"https://vendor.example/?key={quote(SECRET, safe='')}&more".encode(),
        b'{"key": "canary/+\\"7c1e\\"~Zq==%9"}',
        b"\\x" + SECRET.encode().hex().encode(),
        *(base64.b64encode(b"api:key:"[:size] + SECRET.encode() + b"!") for size in range(6)),
        *(base64.urlsafe_b64encode(b"api:key:"[:size] + SECRET.encode()) for size in range(6)),
    ],
)
def test_a_secret_is_found_however_it_is_written(written: bytes) -> None:
    assert NET.caught(("a log", b"before " + written + b" after")) == ["the canary in a log"]


def test_nothing_is_found_where_nothing_is() -> None:
    assert NET.caught(("a log", b"canary/+ and nothing more, " + base64.b64encode(b"something else"))) == []


def test_a_value_that_a_database_file_cuts_in_pieces_is_found_whole(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection, connection:
        connection.execute("CREATE TABLE logs (event TEXT, packed BLOB)")
        connection.execute("INSERT INTO logs VALUES (?, NULL)", (SECRET * 1_000,))
        connection.execute("INSERT INTO logs VALUES ('', ?)", (zlib.compress(SECRET.encode() * 3),))
    (raw, rows) = list(files(tmp_path))
    assert rows[1].count(SECRET.encode()) == 1_000 + 3
    assert raw[1].count(SECRET.encode()) < 1_000
    assert NET.caught(rows) == [f"the canary in {tmp_path}/events.db:logs"]


@pytest.mark.services
def test_every_table_is_looked_at(database: Database, tenant: str, postgres_url: str) -> None:
    plain = postgres_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.left_behind (raw bytea, document jsonb, list text[])")
        try:
            connection.execute(
                "INSERT INTO public.left_behind VALUES (%s, NULL, NULL)", (zlib.compress(SECRET.encode()),)
            )
            connection.execute(
                "INSERT INTO public.left_behind VALUES (NULL, jsonb_build_object('a', %s::text), NULL)", (SECRET,)
            )
            connection.execute("INSERT INTO public.left_behind VALUES (NULL, NULL, ARRAY[%s])", (SECRET,))
            found = dict(tables(postgres_url))
        finally:
            connection.execute("DROP TABLE public.left_behind")
    lines = found["public.left_behind"].splitlines()
    assert [bool(NET.caught(("row", line))) for line in lines] == [True] * 3
    assert tenant.encode() in found["public.tenants"]


def test_addresses_are_found_in_urls_too() -> None:
    assert addresses(b'GET /people?email=Kim.Berg%40example.com "a@b.example"') == {
        b"kim.berg@example.com",
        b"a@b.example",
    }
