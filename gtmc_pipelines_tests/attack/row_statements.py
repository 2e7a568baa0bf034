"""Statements that reach for another tenant's rows, in every form a bug or an injected text could give them.

None sets `gtmc.tenant_id` to the victim and then reads: who may do that has SQL, and row security doesn't stop them
(THREATS.md). What is set and undone again (a savepoint, the end of a transaction) is tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from gtmc_pipelines_tests.attack.victims import Table, Tenants, value_of


@dataclass(frozen=True, slots=True)
class Plot:
    """Steps run in turn in one transaction of the attacker; `before` in one of the victim, on the same session.

    `role` is the role the steps end in, when they take another that may see something of every tenant.
    """

    form: str
    steps: list[str]
    before: list[str] = field(default_factory=list)
    role: str = ""


class Statements:
    """Plain statements against the tables of a database, each reaching for more than its own tenant."""

    def __init__(self, tables: list[Table], tenants: Tenants) -> None:
        self._tables, self._tenants = tables, tenants

    def _where(self, dice: Random, table: Table, alias: str = "t") -> str:
        whose, theirs, mine = f"{alias}.{table.tenant_column}", self._tenants.theirs, self._tenants.mine
        return dice.choice(
            (
                "true",
                f"{whose} = '{theirs}'",
                f"{whose} <> '{mine}'",
                f"NOT ({whose} = '{mine}')",
                f"{whose} = ANY (ARRAY['{theirs}', '{mine}'])",
                f"{whose} = '{mine}' OR 1 = 1",
                f"{whose} LIKE '%'",
                f"{whose} ~ '^victim'",
                f"{whose} IN (SELECT id FROM public.tenants)",
                f"{alias}.ctid IN ('(0,1)', '(0,2)', '(0,3)', '(0,4)')",
                f"{alias}::text LIKE '%stolen%'",
                f"coalesce(nullif({whose}, '{mine}'), '{theirs}') = '{theirs}'",
                f"({alias}::text)::int > 0",
                f"1 / (CASE WHEN {whose} = '{theirs}' THEN 0 ELSE 1 END) = 1",
            )
        )

    def _what(self, dice: Random, alias: str = "t") -> str:
        return dice.choice(
            (
                *(f"{alias}.*", alias, f"to_jsonb({alias})", f"row_to_json({alias})", f"{alias}::text"),
                *(
                    f"string_agg({alias}::text, '')",
                    f"json_agg({alias})",
                    f"max({alias}::text)",
                    f"hashtext({alias}::text), {alias}",
                ),
                f"CASE WHEN bool_or({alias}::text LIKE '%victim%') THEN '{self._tenants.secret_mark}' END",
            )
        )

    def _query(self, dice: Random, table: Table) -> str:
        end = dice.choice(("", "", " LIMIT 5", " OFFSET 0", " LIMIT ALL"))
        return f"SELECT {self._what(dice)} FROM {table.name} t WHERE {self._where(dice, table)}{end}"

    def _select(self, dice: Random, table: Table) -> Plot:
        name, where = table.name, self._where(dice, table)
        query = dice.choice(
            (
                self._query(dice, table),
                f"TABLE {name}",
                f"SELECT * FROM ONLY {name} t WHERE {where}",
                f"SELECT * FROM {name} t TABLESAMPLE BERNOULLI (100) WHERE {where}",
                f"SELECT * FROM {name} t TABLESAMPLE SYSTEM (100) REPEATABLE ({dice.randrange(9)}) WHERE {where}",
                f"SELECT * FROM {name} t WHERE {where} FOR {dice.choice(('UPDATE', 'SHARE', 'KEY SHARE SKIP LOCKED'))}",
                f"EXPLAIN (ANALYZE, VERBOSE, COSTS OFF) SELECT * FROM {name} t WHERE {where}",
                f"SELECT rank() OVER (ORDER BY t::text), t FROM {name} t WHERE {where}",
                f"SELECT t::text, count(*) FROM {name} t WHERE {where} GROUP BY ROLLUP (t::text)",
            )
        )
        return Plot("select", [query])

    def _join(self, dice: Random, table: Table) -> Plot:
        other = dice.choice(self._tables)
        how = dice.choice(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"))
        equal = f"t.{table.tenant_column} = u.{other.tenant_column}"
        on = equal if how == "FULL JOIN" else dice.choice((equal, "true", "t::text <> u::text"))
        where = self._where(dice, other, "u")
        theirs = f"(VALUES ('{self._tenants.theirs}')) v (id)"
        query = dice.choice(
            (
                f"SELECT t, u FROM {table.name} t {how} {other.name} u ON {on}",
                f"SELECT t, u FROM {table.name} t CROSS JOIN {other.name} u WHERE {where}",
                f"SELECT t, x FROM {table.name} t, LATERAL (SELECT u FROM {other.name} u WHERE {where}) x",
                f"SELECT u FROM {theirs} LEFT JOIN {other.name} u ON u.{other.tenant_column} = v.id",
                f"SELECT t FROM {table.name} t WHERE EXISTS (SELECT FROM {other.name} u WHERE {where})",
            )
        )
        return Plot("join", [query])

    def _subquery(self, dice: Random, table: Table) -> Plot:
        name, where, column = table.name, self._where(dice, table), any_column(dice, table)
        numbers = "x (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 3)"
        whose = f"r ({table.tenant_column} text)"
        query = dice.choice(
            (
                f"WITH x AS {dice.choice(('', 'NOT '))}MATERIALIZED (TABLE {name}) SELECT t FROM x t",
                f"WITH x AS (DELETE FROM {name} t WHERE {where} RETURNING *) SELECT * FROM x",
                f"WITH x AS (UPDATE {name} t SET {column} = DEFAULT WHERE {where} RETURNING *) TABLE x",
                f"WITH RECURSIVE {numbers} SELECT x.n, t FROM x, {name} t",
                f"SELECT (SELECT string_agg(t::text, '') FROM {name} t WHERE {where})",
                f"SELECT ARRAY(SELECT t::text FROM {name} t WHERE {where})",
                f"SELECT * FROM json_to_recordset((SELECT json_agg(t) FROM {name} t)) AS {whose}",
            )
        )
        return Plot("subquery", [query])

    def _update(self, dice: Random, table: Table) -> Plot:
        name, where, column = table.name, self._where(dice, table), any_column(dice, table)
        twice = f"{name} u WHERE {self._where(dice, table, 'u')}"
        query = dice.choice(
            (
                f"UPDATE {name} t SET {column} = {column} WHERE {where} RETURNING *",
                f"UPDATE {name} t SET {table.tenant_column} = '{self._tenants.theirs}' WHERE {where}",
                f"UPDATE {name} t SET {table.tenant_column} = '{self._tenants.mine}' WHERE {where} RETURNING t",
                f"UPDATE {name} t SET {column} = u.{column} FROM {twice} RETURNING t, u",
            )
        )
        return Plot("update", [query])

    def _delete(self, dice: Random, table: Table) -> Plot:
        name, other = table.name, dice.choice(self._tables)
        query = dice.choice(
            (
                f"DELETE FROM {name} t WHERE {self._where(dice, table)} RETURNING *",
                f"DELETE FROM {name} t USING {other.name} u WHERE {self._where(dice, other, 'u')} RETURNING t, u",
                f"TRUNCATE {name} CASCADE",
            )
        )
        return Plot("delete", [query])

    def _row(self, dice: Random, table: Table) -> str:
        """Columns and values of a row that names the victim as its tenant."""
        known = [column for column in table.columns if not column.is_made]
        columns = [column for column in known if column.is_required or dice.random() < 0.5] or known[:1]
        values = (_literal(value_of(table, column, self._tenants.theirs, "planted")) for column in columns)
        return f"({', '.join(column.name for column in columns)}) VALUES ({', '.join(values)})"

    def _insert(self, dice: Random, table: Table) -> Plot:
        name, column, where = table.name, any_column(dice, table), self._where(dice, table)
        own = f"INSERT INTO {name} OVERRIDING SYSTEM VALUE SELECT * FROM {name} t"
        query = dice.choice(
            (
                f"INSERT INTO {name} {self._row(dice, table)} RETURNING *",
                f"INSERT INTO {name} {self._row(dice, table)} ON CONFLICT DO NOTHING",
                f"{own} WHERE {where} RETURNING *",
                f"INSERT INTO {name} SELECT * FROM {name} t ON CONFLICT DO NOTHING RETURNING *",
                f"{own} ON CONFLICT ({_keys(table)}) DO UPDATE SET {column} = excluded.{column} RETURNING *",
            )
        )
        return Plot("insert", [query])

    def _merge(self, dice: Random, table: Table) -> Plot:
        name, column = table.name, any_column(dice, table)
        action = dice.choice((f"UPDATE SET {column} = t.{column}", "DELETE", "DO NOTHING"))
        source = f"(SELECT '{self._tenants.theirs}' AS whose) s ON t.{table.tenant_column} = s.whose"
        return Plot("merge", [f"MERGE INTO {name} t USING {source} WHEN MATCHED THEN {action}"])


def any_column(dice: Random, table: Table) -> str:
    return dice.choice([column.name for column in table.columns if not column.is_made])


def _keys(table: Table) -> str:
    names = {column.name for column in table.columns}
    known = ("id", "tenant_id, source, external_id", "tenant_id, external_id")
    return next((key for key in known if set(key.split(", ")) <= names), "tenant_id")


def _literal(value: object) -> str:
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    if isinstance(value, list):
        return "ARRAY['" + "', '".join(value) + "']"
    return str(value).lower() if isinstance(value, bool | int) else f"'{value}'"
