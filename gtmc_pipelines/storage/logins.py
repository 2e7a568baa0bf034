"""The login that worker, Dagster and commands use: it owns nothing and can only act as our roles.

Row-level security binds the roles; a login that is a superuser could still leave them with SET ROLE. So the schema's
owner migrates, and everything else logs in as somebody who couldn't.
"""

from __future__ import annotations

from pathlib import Path

from psycopg import sql
from sqlalchemy import URL, NullPool, create_engine

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.engine import APP_ROLE, ERASER_ROLE, FLEET_ROLE, OPERATOR_ROLE, database_url

_ROLES = (APP_ROLE, FLEET_ROLE, OPERATOR_ROLE, ERASER_ROLE)


def ensure_login(owner_url: str, login_url: str) -> None:
    """Make the user of `login_url` able to act as our roles; create it, unprivileged, when it doesn't exist.

    `owner_url` is the login that migrated. Its password, when one has to be set, comes from `login_url` or the
    `passfile` it names. Raises Misuse `login_without_password`.
    """
    login = database_url(login_url)
    name = sql.Identifier(login.username or "")
    engine = create_engine(database_url(owner_url), poolclass=NullPool)
    with engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        is_known = driver.execute("SELECT FROM pg_roles WHERE rolname = %s", (login.username,)).fetchone()
        if is_known is None:
            driver.execute(
                sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD {}").format(
                    name, sql.Literal(_password_of(login))
                )
            )
        is_16 = int(driver.execute("SHOW server_version_num").fetchone()[0]) >= 160000
        terms = sql.SQL(" WITH INHERIT FALSE, SET TRUE" if is_16 else "")
        for role in _ROLES:
            driver.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name) + terms)
        driver.execute(sql.SQL("GRANT SELECT ON alembic_version TO {}").format(name))  # `gtmc doctor` names it
    engine.dispose()


def _password_of(login: URL) -> str:
    if login.password:
        return str(login.password)
    passfile = login.query.get("passfile")
    if isinstance(passfile, str):
        for line in Path(passfile).read_text().splitlines():
            *_, user, password = line.rsplit(":", 2)
            if user == login.username:
                return password
    raise Misuse(
        "login_without_password",
        f"The PostgreSQL login {login.username} doesn't exist yet and GTMC_DATABASE_URL names no password for it.",
        next_step="Create the login, or put its password into the URL (or a passfile the URL names).",
    )
