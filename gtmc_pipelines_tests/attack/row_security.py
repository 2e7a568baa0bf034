"""Attacks on row security: as the worker's login with a tenant set, statements that reach for another tenant's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random
from typing import Any

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus

from gtmc_pipelines.storage.engine import FLEET_ROLE, OPERATOR_ROLE, begin_tenant
from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.row_statements import Plot
from gtmc_pipelines_tests.attack.row_tricks import Plotter
from gtmc_pipelines_tests.attack.stage import Stage
from gtmc_pipelines_tests.attack.victims import Table, Tenants, fingerprint, plant, tables_of, uproot

_SEES_ALL = (FLEET_ROLE, OPERATOR_ROLE)
_MOST_MALFORMED = 0.03
_LASTING = ("setting", "role", "cursor", "prepared")  # what a rollback doesn't undo
_ROLES = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'gtmc%' OR rolsuper ORDER BY 1"
_FUNCTIONS = """
SELECT p.oid::regproc::text FROM pg_proc p
 WHERE p.pronamespace IN ('public'::regnamespace, 'raw'::regnamespace) ORDER BY 1
"""


class RowAttack:
    """One session of the attacker; what it reads is searched for marks, what it changes is compared."""

    def __init__(self, owner: psycopg.Connection[Any], session: psycopg.Connection[Any], tenants: Tenants) -> None:
        self._owner, self._session, self._tenants = owner, session, tenants
        self.tables = tables_of(owner)
        plant(owner, self.tables, tenants)
        self._before = {table.name: fingerprint(owner, table, tenants.theirs) for table in self.tables}
        names = ([name for (name,) in owner.execute(query).fetchall()] for query in (_ROLES, _FUNCTIONS))
        self._plotter = Plotter(self.tables, tenants, *names)
        self._told: list[str] = []
        session.add_notice_handler(lambda notice: self._told.append(notice.message_primary or ""))
        self.malformed: Counter[str] = Counter()
        self._attempts = 0

    def attempt(self, dice: Random) -> Tried:
        """One plot, rolled back in the end, and the session as new for the next."""
        plot, table = self._plotter.plot(dice)
        self._attempts += 1
        try:
            if plot.before:
                self._run(plot.before, self._tenants.theirs)
                self._session.rollback()
            self._told.clear()
            self._run(plot.steps, self._tenants.mine)
            through = self._read(plot) or self._changed(table)
        finally:
            self._session.rollback()
            if plot.form in _LASTING:
                self._as_new()
        return Tried(plot.form, through and f"{through} by {'; '.join([*plot.before, *plot.steps])}")

    def aftermath(self) -> list[str]:
        """Rows of the victim that are no longer what they were, and whether the attack itself was any good."""
        now = {table.name: fingerprint(self._owner, table, self._tenants.theirs) for table in self.tables}
        found = [f"rows of {name} are not what they were" for name, was in self._before.items() if now[name] != was]
        share = sum(self.malformed.values()) / max(self._attempts, 1)
        if share > _MOST_MALFORMED:
            found.append(f"{share:.0%} of the statements were no SQL: {self.malformed.most_common(5)}")
        return found

    def _run(self, steps: list[str], tenant: str) -> None:
        begin_tenant(self._session, tenant)
        self._session.execute("SET LOCAL statement_timeout = '5s'")  # two large tables may be crossed
        for step in steps:
            try:
                self._told += self._rows(step)
            except psycopg.Error as error:
                diag = error.diag  # its position and context quote the statement itself, marks included
                self._told += [text for text in (diag.message_primary, diag.message_detail, diag.message_hint) if text]
                if error.sqlstate in {"42601", "42703"}:
                    self.malformed[f"{error.sqlstate} {str(error).splitlines()[0]}"] += 1

    def _rows(self, step: str) -> list[str]:
        """What a statement gives, as text; for a COPY its data."""
        with self._session.cursor() as cursor:
            if step.startswith("COPY") and "STD" in step:
                with cursor.copy(step.encode()) as copy:
                    return ["".join(repr(bytes(block)) for block in copy)] if "STDOUT" in step else []
            cursor.execute(step.encode())
            if cursor.pgresult is None or cursor.pgresult.status != ExecStatus.TUPLES_OK:
                return []
            return [repr(row) for row in cursor.fetchall()]

    def _read(self, plot: Plot) -> str | None:
        """Which mark was seen. An id that the statement itself names proves nothing when it comes back."""
        marks = [self._tenants.secret_mark]
        if plot.role not in _SEES_ALL:
            marks.append(self._tenants.plain_mark)
            marks += [self._tenants.theirs] if not any(self._tenants.theirs in step for step in plot.steps) else []
        seen = "\n".join(self._told)
        found = [mark for mark in marks if mark in seen or mark.encode().hex() in seen]
        return "a foreign row was read" if found else None

    def _changed(self, table: Table) -> str | None:
        """Whether the victim would find other rows than before, were this committed."""
        if self._session.info.transaction_status != TransactionStatus.INTRANS:
            return None
        self._session.execute("RESET ROLE; SET LOCAL row_security = on; SET LOCAL search_path = public")
        begin_tenant(self._session, self._tenants.theirs)
        now = fingerprint(self._session, table, self._tenants.theirs)
        return None if now == self._before[table.name] else "foreign rows were changed"

    def _as_new(self) -> None:
        self._session.autocommit = True
        self._session.execute("DISCARD ALL")
        self._session.autocommit = False


@contextmanager
def _opened(stage: Stage) -> Iterator[RowAttack]:
    tenants = Tenants.fresh()
    with stage.owner() as owner, closing(stage.database.raw_connection()) as session:
        attack = RowAttack(owner, session, tenants)
        try:
            yield attack
        finally:
            uproot(owner, attack.tables, tenants)


KIND = Kind("rows", "a row of another tenant is read or changed", 20_000, 300, _opened)
