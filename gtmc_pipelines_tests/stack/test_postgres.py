"""The embedded PostgreSQL survives what machines do to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import psycopg.sql
import pytest

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack import postgres, server_user
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.postgres import DAGSTER_LOGIN, LOGIN, EmbeddedPostgres
from gtmc_pipelines.stack.server_user import place_for
from gtmc_pipelines_tests.stack.conftest import eventually

pytestmark = pytest.mark.services


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    """A running server with one committed row."""
    running = EmbeddedPostgres(home / "postgres", free_port())
    running.start()
    with _connect(running) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'a row' AS what")
    yield running
    running.stop()


def _connect(server: EmbeddedPostgres, **options: str) -> psycopg.Connection[tuple[str, ...]]:
    return psycopg.connect(server.url().replace("+psycopg", ""), **options)


def _kept(server: EmbeddedPostgres) -> str:
    with _connect(server) as connection:
        row = connection.execute("SELECT what FROM kept").fetchone()
    assert row is not None
    return row[0]


def test_data_stay_between_starts(server: EmbeddedPostgres, home: Path) -> None:
    server.stop()
    again = EmbeddedPostgres(home / "postgres", free_port())
    again.start()
    try:
        assert _kept(again) == "a row"
    finally:
        again.stop()


def test_a_killed_server_recovers_at_the_next_start(server: EmbeddedPostgres, home: Path) -> None:
    pid = int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not server.is_ready())
    server.stop()
    assert (home / "postgres" / "postmaster.pid").exists()
    server.start()
    assert _kept(server) == "a row"


def test_an_interrupted_first_start_is_begun_again(home: Path) -> None:
    half_made = home / "postgres"
    half_made.mkdir(mode=0o700)
    (half_made / "postgresql.conf").write_text("half")
    running = EmbeddedPostgres(half_made, free_port())
    running.start()
    try:
        assert running.is_ready()
    finally:
        running.stop()


def test_a_taken_port_is_refused_in_one_sentence(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Misuse, match=f"Port {port} for PostgreSQL is already in use"):
            EmbeddedPostgres(home / "postgres", port).start()


def test_two_servers_never_share_data(server: EmbeddedPostgres, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtmc_pipelines.stack.folder_lock._PREDECESSOR_SECONDS", 0.05)
    with pytest.raises(Misuse, match="already runs the embedded PostgreSQL"):
        EmbeddedPostgres(home / "postgres", free_port()).start()
    assert _kept(server) == "a row"


def test_a_connection_needs_the_password_of_the_file(server: EmbeddedPostgres, home: Path) -> None:
    assert (home / "postgres.pass").stat().st_mode & 0o077 == 0
    assert (home / "postgres.pass").read_text().strip().rsplit(":", 1)[-1] not in server.url()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        _connect(server, password="guessed", passfile=os.devnull)


def test_data_without_their_password_file_are_left_alone(server: EmbeddedPostgres, home: Path) -> None:
    server.stop()
    password = (home / "postgres.pass").read_text()
    (home / "postgres.pass").unlink()
    with pytest.raises(Misuse, match="password file is gone"):
        server.start()
    (home / "postgres.pass").write_text(password)
    server.start()
    assert _kept(server) == "a row"


def test_a_database_is_created_once(server: EmbeddedPostgres) -> None:
    server.ensure_database("gtmc")
    server.ensure_database("gtmc")
    with psycopg.connect(server.url("gtmc").replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT datcollate FROM pg_database WHERE datname = 'gtmc'").fetchone()
    assert row == ("C.UTF-8",)


def test_a_server_of_an_earlier_version_gives_dagsters_database_to_a_login_of_its_own(
    server: EmbeddedPostgres, home: Path
) -> None:
    server.ensure_database("gtmc")
    server.ensure_database("dagster")
    with psycopg.connect(server.url("dagster").replace("+psycopg", "")) as owner:
        owner.execute("CREATE TABLE runs (id serial, kind int GENERATED ALWAYS AS IDENTITY)")
        owner.execute("CREATE SEQUENCE loose; CREATE VIEW seen AS SELECT id FROM runs; CREATE TYPE mood AS ENUM ('a')")
    server.stop()
    owner_file, former = home / "postgres.pass", home / "postgres-gtmc.pass"
    kept = owner_file.read_text() + former.read_text()
    for file in home.glob("postgres*.pass"):
        file.unlink()
    owner_file.write_text(kept)
    server.start()
    for _ in range(2):
        server.ensure_database("gtmc", LOGIN)
        server.ensure_database("dagster", DAGSTER_LOGIN, owns=True)
    assert LOGIN not in owner_file.read_text()
    assert former.read_text() in kept, "a password in use stays"
    assert [file.stat().st_mode & 0o777 for file in home.glob("postgres*.pass")] == [0o600] * 3
    assert owner_file.stat().st_uid == (home / "postgres").stat().st_uid
    _lays_traps_for_the_superuser(server)
    server.ensure_database("dagster", DAGSTER_LOGIN, owns=True)
    _owns_all_of_its_database_and_nothing_else(server)


def _lays_traps_for_the_superuser(server: EmbeddedPostgres) -> None:
    """Code of the login's own where a script of the superuser's, in the login's database, looks for the server's."""
    with psycopg.connect(server.dagster_url().replace("+psycopg2", ""), autocommit=True) as dagster:
        dagster.execute("CREATE SCHEMA trap")
        dagster.execute(
            "CREATE FUNCTION trap.sprung(anyelement) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
            " IF current_user = 'postgres' THEN GRANT pg_execute_server_program TO dagster; END IF; RETURN true; END $$"
        )
        for name in ("pg_roles", "pg_class", "pg_type", "pg_proc"):
            view = psycopg.sql.SQL("CREATE VIEW trap.{0} AS SELECT * FROM pg_catalog.{0} WHERE trap.sprung(true)")
            dagster.execute(view.format(psycopg.sql.Identifier(name)))
        dagster.execute("ALTER DATABASE dagster SET search_path = trap, pg_catalog, public")


def _owns_all_of_its_database_and_nothing_else(server: EmbeddedPostgres) -> None:
    own = server.dagster_url().replace("+psycopg2", "")
    with psycopg.connect(own) as dagster:
        dagster.execute(
            "ALTER TABLE runs ADD COLUMN more int; DROP VIEW seen; DROP SEQUENCE loose; CREATE TABLE own ()"
        )
        owners = dagster.execute(
            "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " UNION SELECT typowner::regrole::text FROM pg_type WHERE typname = 'mood'"
        ).fetchall()
        assert owners == [(DAGSTER_LOGIN,)]
        rights = dagster.execute(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication FROM pg_roles"
            " WHERE rolname IN ('dagster', 'gtmc')"
        ).fetchall()
        assert rights == [(False,), (False,)]
        member = dagster.execute("SELECT pg_has_role('dagster', 'pg_execute_server_program', 'MEMBER')").fetchone()
        assert member == (False,), "programs run as the superuser's account"
    places = {url.replace("/dagster?", f"/{name}?") for url in (own,) for name in ("gtmc", "postgres", "template1")}
    login = server.login_url("dagster").replace("+psycopg", "")
    for url in (*places, login):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(url)
    psycopg.connect(login.replace("/dagster?", "/gtmc?")).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must drop to another account")
def test_as_root_a_closed_home_keeps_its_permissions_and_its_data_go_where_the_account_can_reach(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    running = EmbeddedPostgres(closed / "postgres", free_port())
    running.start()
    try:
        with _connect(running) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 'outside' AS what")
    finally:
        running.stop()
    assert closed.stat().st_mode & 0o777 == 0o700
    outside = (closed / "postgres").resolve()
    assert outside.stat().st_uid != 0
    running.start()
    try:
        assert _kept(running) == "outside"
    finally:
        running.stop()
        server_user.remove_outside(closed / "postgres")
    assert not outside.parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must drop to another account")
def test_as_root_a_home_made_again_after_it_was_deleted_starts_afresh(home: Path) -> None:
    closed = home / "closed"
    try:
        for _ in range(2):
            closed.mkdir(mode=0o700)
            running = EmbeddedPostgres(closed / "postgres", free_port())
            running.start()
            running.stop()
            shutil.rmtree(closed)
    finally:
        server_user.remove_outside(closed / "postgres")
    assert not running.is_ready()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must drop to another account")
def test_as_root_programs_in_a_closed_folder_run_from_a_copy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = postgres.installation().parent
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    for folder in (package, package.with_name(package.name + ".libs")):
        if folder.is_dir():
            shutil.copytree(folder, closed / folder.name, symlinks=True)
    monkeypatch.setattr(postgres, "installation", lambda: closed / package.name / "pginstall")
    running = EmbeddedPostgres(home / "postgres", free_port())
    try:
        running.start()
        assert running.is_ready()
    finally:
        running.stop()
        server_user.remove_outside(closed / package.name / "pginstall")
    assert closed.stat().st_mode & 0o777 == 0o700


def test_an_ordinary_user_runs_the_server_where_the_data_are(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    place = place_for(home / "postgres", home)
    assert place.user is None
    assert place.data == home / "postgres"
