"""Attacks on the next borrower of a pooled session: whatever one leaves behind in it, the next must not notice.

One borrower works as the victim and leaves things as a bug would; the next has the same session, with another tenant or
with none. Reading a row of the victim, or finding the victim's setting or another role, is a success.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from random import Random
from typing import Any

import psycopg

from gtmc_pipelines.storage.engine import APP_ROLE, Database, begin_tenant
from gtmc_pipelines.storage.statements import driver
from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.stage import Stage
from gtmc_pipelines_tests.attack.victims import Table, Tenants, plant, tables_of, uproot

_WHO = "SELECT current_user, coalesce(current_setting('gtmc.tenant_id', true), ''), current_setting('row_security')"


class BorrowerAttack:
    """Two pools of one session each; what the first leaves in one is looked for by the second."""

    def __init__(self, database: Database, tables: list[Table], tenants: Tenants) -> None:
        self._database, self._tables, self._tenants = database, tables, tenants

    def attempt(self, dice: Random) -> Tried:
        """One loan as the victim, one after it."""
        table, theirs = dice.choice(self._tables).name, self._tenants.theirs
        setting = f"'{theirs}'"
        left = {
            "setting": [f"SET gtmc.tenant_id = {setting}"],
            "setting by a function": [f"SELECT set_config('gtmc.tenant_id', {setting}, false)"],
            "setting past a savepoint": ["SAVEPOINT s", f"SET gtmc.tenant_id = {setting}", "RELEASE s"],
            "setting of the session": [f"SET SESSION gtmc.tenant_id TO {setting}", "COMMIT"],
            "role": [f"SET ROLE {dice.choice(('gtmc_fleet', 'gtmc_eraser', 'gtmc_operator', 'none'))}"],
            "held cursor": [f"DECLARE c CURSOR WITH HOLD FOR SELECT t::text FROM {table} t"],
            "temporary table": [f"CREATE TEMP TABLE left_behind AS SELECT t::text AS row FROM {table} t"],
            "temporary view": ["SET search_path = pg_temp, public", f"CREATE TEMP VIEW left_behind AS TABLE {table}"],
            "prepared": [f"PREPARE p AS SELECT t::text FROM {table} t", "EXECUTE p"],
            "path": ["SET search_path = pg_temp"],
            "row security off": ["SET row_security = off"],
            "replica": ["SET session_replication_role = replica"],
        }
        form = dice.choice(list(left))
        first, second = dice.choice((self._pooled, self._written)), dice.choice((self._pooled, self._written))
        first(theirs, left[form])
        mine = dice.choice((self._tenants.mine, ""))
        return Tried(form, second(mine, [f"SELECT t::text FROM {table} t"], table))

    def aftermath(self) -> list[str]:
        """None: what is left is found at once."""
        return []

    def _pooled(self, tenant: str, steps: list[str], table: str = "") -> str | None:
        with self._database._engine.connect() as lent:
            return self._loan(driver(lent), tenant, steps, table, lent.commit)

    def _written(self, tenant: str, steps: list[str], table: str = "") -> str | None:
        with closing(self._database.write_connection()) as lent:
            session: Any = lent.driver_connection
            return self._loan(session, tenant, steps, table, session.commit)

    def _loan(
        self,
        session: psycopg.Connection[Any],
        tenant: str,
        steps: list[str],
        table: str,
        commit: Callable[[], None],
    ) -> str | None:
        """Do the steps; when a `table` is named this is the second borrower, who tells what was found."""
        found = self._noticed(session) if table else None
        if found:
            return found
        if tenant:
            begin_tenant(session, tenant)
        seen = []
        for step in steps:
            seen += _rows(session, step)
        if table:
            for left in ("FETCH ALL FROM c", "EXECUTE p", "TABLE left_behind"):
                seen += _rows(session, left)
        commit()
        marks = (self._tenants.secret_mark, self._tenants.plain_mark, self._tenants.theirs)
        return (
            "a row of the one before was read" if table and any(mark in row for row in seen for mark in marks) else None
        )

    def _noticed(self, session: psycopg.Connection[Any]) -> str | None:
        found = session.execute(_WHO).fetchone()
        session.rollback()
        return None if found == (APP_ROLE, "", "on") else f"the next borrower finds {found}"


def _rows(session: psycopg.Connection[Any], step: str) -> list[str]:
    """What a step gives; one that fails leaves the transaction as it was."""
    if step == "COMMIT":
        session.commit()
        return []
    try:
        with session.cursor() as cursor:
            cursor.execute("SAVEPOINT loan")
            cursor.execute(step.encode())
            return [repr(row) for row in cursor.fetchall()] if cursor.description else []
    except psycopg.Error as error:
        with suppress(psycopg.Error):
            session.execute("ROLLBACK TO SAVEPOINT loan")
        return [error.diag.message_primary or ""]


@contextmanager
def _opened(stage: Stage) -> Iterator[BorrowerAttack]:
    tenants = Tenants.fresh()
    with stage.owner() as owner, closing(Database(stage.worker_url, pool_size=1)) as database:
        tables = tables_of(owner)
        plant(owner, tables, tenants)
        try:
            yield BorrowerAttack(database, tables, tenants)
        finally:
            uproot(owner, tables, tenants)


KIND = Kind(
    "borrowers",
    "the next borrower of a session finds the tenant, the role or a row of the one before",
    2_000,
    100,
    _opened,
)
