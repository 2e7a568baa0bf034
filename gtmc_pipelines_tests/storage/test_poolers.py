"""Connection poolers are told from PostgreSQL: by what they refuse, pass over, or share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, make_url
from typer.testing import CliRunner

from gtmc_pipelines.cli import doctor_probes
from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.stack.doctor import examine
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.migrate import current_revision, migrate
from gtmc_pipelines.storage.poolers import told_by
from gtmc_pipelines_tests.storage.pooler_scene import pooler

pytestmark = pytest.mark.services

REFUSALS = [
    "unsupported startup parameter: options",
    "Unsupported startup parameter: options",
    "unsupported startup parameter in options: role",
    "unsupported options startup parameter: only '-c config=val' is allowed",
    "Feature not supported: RDS Proxy currently doesn't support command-line options.",
]
_MAKE = "CREATE ROLE {} LOGIN SUPERUSER PASSWORD 'pooled'"


@pytest.fixture
def login(postgres_url: str, superuser: psycopg.Connection[Any], database: Database) -> Iterator[URL]:
    """The URL of a login whom row security doesn't bind, as long as it doesn't act as gtmc_app."""
    superuser.execute(_MAKE.format("pooled"))
    url = make_url(postgres_url).set(username="pooled", password="pooled", query={})
    yield url
    superuser.execute("DROP ROLE pooled")


def _text(login: URL, port: int) -> str:
    return login.set(port=port).render_as_string(hide_password=False)


def _server(login: URL) -> tuple[str, int]:
    return login.host or "", login.port or 0


def _told(error: Misuse, evidence: str) -> None:
    assert error.code == "database_pooler"
    assert "points at a connection pooler (127.0.0.1:" in error.sentence
    assert evidence in error.sentence
    assert "direct address" in error.next_step
    assert "GTMC_DATABASE_URL" in error.next_step


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_pooler_that_refuses_our_options_is_told(login: URL, refusal: str) -> None:
    with pooler("refuses", _server(login), refusal) as port, pytest.raises(Misuse) as raised:
        open_database(_text(login, port))
    _told(raised.value, "refuses the options")


def test_a_pooler_that_passes_our_options_over_never_gives_a_session_that_is_not_ours(login: URL) -> None:
    with pooler("passes over", _server(login)) as port:
        database = Database(_text(login, port), pool_size=1)
        for use in (database.raw_connection, database.write_connection, database.probe, database.tenant("t").__enter__):
            with pytest.raises(Misuse) as raised:
                use()
            _told(raised.value, "passes over the options")
        database.close()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_a_login_that_has_the_role_by_itself_must_have_the_time_zone_too(
    login: URL, superuser: psycopg.Connection[Any], zone: str
) -> None:
    superuser.execute("ALTER ROLE pooled SET role = 'gtmc_app'")
    superuser.execute(f"ALTER ROLE pooled SET timezone = '{zone}'")
    with pooler("passes over", _server(login)) as port:
        if zone == "UTC":
            open_database(_text(login, port)).close()  # in session mode: served as we need it
        else:
            with pytest.raises(Misuse) as raised:
                open_database(_text(login, port))
            _told(raised.value, "passes over the options")


def test_one_session_for_several_connections_is_told_even_when_the_login_has_role_and_zone(
    login: URL, superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute("ALTER ROLE pooled SET role = 'gtmc_app'")
    superuser.execute("ALTER ROLE pooled SET timezone = 'UTC'")
    with pooler("shares", _server(login)) as port, pytest.raises(Misuse) as raised:
        open_database(_text(login, port))
    _told(raised.value, "is in transaction mode")


def test_migrating_through_one_is_told_before_anything_is_changed(login: URL) -> None:
    for use in (migrate, current_revision):
        with pooler("shares", _server(login)) as port, pytest.raises(Misuse) as raised:
            use(_text(login, port))
        _told(raised.value, "is in transaction mode")


def test_doctor_and_commands_say_so(login: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    with pooler("passes over", _server(login)) as port:
        settings = Settings(GTMC_DATABASE_URL=_text(login, port))
        (found,) = examine(settings, [("PostgreSQL", doctor_probes.database)])
        monkeypatch.setenv("GTMC_DATABASE_URL", _text(login, port))
        refused = CliRunner().invoke(app, ["tenants", "list"]).exception
    assert found.state == "wrong"
    assert "passes over the options" in found.found
    assert "direct address" in found.next_step
    assert isinstance(refused, Misuse)
    _told(refused, "passes over the options")
    assert "pooled" not in str(refused), "no part of the login"


def test_the_direct_address_costs_one_connection_only(
    postgres_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    connect = Database._connect
    monkeypatch.setattr(Database, "_connect", lambda self: opened.append(1) or connect(self))
    open_database(postgres_url, pool_size=1).close()
    assert opened == []


@pytest.mark.parametrize("words", ['role "gtmc_app" does not exist', "connection refused", "password is wrong"])
def test_other_errors_are_no_pooler(words: str) -> None:
    assert told_by(words, "db:5432/gtmc") is None
    assert told_by("transaction blocks not allowed in Statement Pooling Mode", "db") is not None
