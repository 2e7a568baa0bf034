"""Tricks with a session that reach for another tenant's rows: settings, roles, cursors, plans, functions."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from gtmc_pipelines_tests.attack.row_statements import Plot, Statements
from gtmc_pipelines_tests.attack.victims import Table, Tenants


class Plotter(Statements):
    """Makes plots of all forms. `roles` are those of the server that are ours, `functions` those of our schemas."""

    def __init__(self, tables: list[Table], tenants: Tenants, roles: list[str], functions: list[str]) -> None:
        super().__init__(tables, tenants)
        self._roles, self._functions = roles, functions

    def plot(self, dice: Random) -> tuple[Plot, Table]:
        """One plot, and the table it is about."""
        made: tuple[Callable[[Random, Table], Plot], ...] = (
            *(self._select, self._join, self._subquery, self._update, self._delete, self._insert, self._merge),
            *(self._copy, self._function, self._view, self._setting, self._role, self._savepoint, self._cursor),
            *(self._prepared, self._definition, self._leak),
        )
        table = dice.choice(self._tables)
        return dice.choice(made)(dice, table), table

    def _copy(self, dice: Random, table: Table) -> Plot:
        name = table.name
        query = dice.choice(
            (
                f"COPY ({self._query(dice, table)}) TO STDOUT",
                f"COPY {name} TO STDOUT (FORMAT {dice.choice(('text', 'csv', 'binary'))})",
                f"COPY {name} FROM STDIN",
                f"COPY {name} TO '/tmp/stolen'",
                f"COPY {name} TO PROGRAM 'cat'",
                f"COPY {name} FROM PROGRAM 'cat /etc/passwd'",
            )
        )
        return Plot("copy", [query])

    def _function(self, dice: Random, table: Table) -> Plot:
        name, query = table.name, self._query(dice, table).replace("'", "''")
        definer = dice.choice(("SECURITY DEFINER", "SECURITY INVOKER", "STABLE", "LEAKPROOF", "COST 0.0001"))
        own = f"CREATE FUNCTION pg_temp.f() RETURNS SETOF {name} LANGUAGE sql {definer} AS 'SELECT * FROM {name}'"
        steps = dice.choice(
            (
                [f"SELECT query_to_xml('{query}', true, true, '')"],
                [f"SELECT table_to_xml('{name}', true, true, '')"],
                [f"SELECT schema_to_xml('{name.partition('.')[0]}', true, true, '')"],
                [own, "SELECT * FROM pg_temp.f()"],
                [f"DO $$ DECLARE r text; BEGIN EXECUTE '{query}' INTO r; RAISE NOTICE '%', r; END $$"],
                ["DO $$ BEGIN EXECUTE 'SET LOCAL row_security = off'; END $$", f"TABLE {name}"],
                [f"SELECT {dice.choice(self._functions)}('{self._tenants.theirs}')"],
                [f"SELECT * FROM pg_stats WHERE schemaname || '.' || tablename = '{name}'"],
                ["SELECT * FROM pg_statistic"],
                [f"SELECT query FROM pg_stat_activity WHERE query LIKE '%stolen{dice.randrange(9)}%'"],
                ["SELECT pg_read_file('PG_VERSION')", f"SELECT pg_relation_filepath('{name}')"],
                ["SELECT lo_import('/etc/passwd')"],
            )
        )
        return Plot("function", steps)

    def _view(self, dice: Random, table: Table) -> Plot:
        name = table.name
        with_terms = dice.choice(("", "WITH (security_barrier = false)", "WITH (security_invoker = false)"))
        steps = dice.choice(
            (
                [f"CREATE TEMP VIEW v {with_terms} AS SELECT * FROM {name}", "SELECT v FROM v"],
                [f"CREATE TEMP TABLE x AS SELECT * FROM {name} t WHERE {self._where(dice, table)}", "TABLE x"],
                [f"CREATE TEMP TABLE x () INHERITS ({name})", f"SELECT * FROM {name}"],
                [f"CREATE TEMP TABLE x (LIKE {name} INCLUDING ALL)", f"INSERT INTO x SELECT * FROM {name}", "TABLE x"],
                ["SELECT v FROM public.accounts_enriched v"],
                [f"SELECT v FROM public.accounts_enriched v WHERE v.tenant_id = '{self._tenants.theirs}'"],
                [f"CREATE MATERIALIZED VIEW pg_temp.v AS SELECT * FROM {name}", "TABLE pg_temp.v"],
            )
        )
        return Plot("view", steps)

    def _setting(self, dice: Random, table: Table) -> Plot:
        theirs, mine, name = self._tenants.theirs, self._tenants.mine, table.name
        odd = ("", " ", "%", "_" * len(theirs), f"{theirs} ", f" {theirs}", theirs.upper(), f"{mine},{theirs}")
        odd += (
            f"{{{theirs},{mine}}}",
            f"{theirs}'' OR ''1''=''1",
            f"{theirs}\n",
            "*",
            "NULL",
            f"^{theirs}$",
            f"{theirs[:-1]}_",
        )
        here, forever = f"SET LOCAL gtmc.tenant_id = '{theirs}'", f"SET gtmc.tenant_id = '{theirs}'"
        first = dice.choice(
            (
                [f"SELECT set_config('gtmc.tenant_id', '{dice.choice(odd)}', true)"],
                [f"SELECT set_config('GTMC.TENANT_ID', '{dice.choice(odd)}', {dice.choice(('true', 'false'))})"],
                [dice.choice(("SET LOCAL gtmc.tenant_id TO DEFAULT", "RESET gtmc.tenant_id", "RESET ALL"))],
                [dice.choice(("SET row_security = off", "SET LOCAL row_security = off"))],
                ["SET session_replication_role = replica"],
                [f"SET LOCAL gtmc.tenant = '{theirs}'", f"SET LOCAL gtmc.tenant_id_ = '{theirs}'"],
                ["SAVEPOINT s", here, "ROLLBACK TO s"],
                ["SAVEPOINT s", forever, "ROLLBACK TO s"],
                [here, "COMMIT", "BEGIN"],
                [here, "ROLLBACK", "BEGIN"],
                [forever, "ROLLBACK", "BEGIN"],
                [f"SET LOCAL search_path = pg_temp, {theirs.partition('-')[0]}"],
            )
        )
        return Plot("setting", [*first, self._query(dice, table), f"TABLE {name}"])

    def _role(self, dice: Random, table: Table) -> Plot:
        role = dice.choice((*self._roles, "pg_read_all_data", "pg_write_all_data", "pg_monitor", "none", "postgres"))
        take = dice.choice((f"SET ROLE {role}", f"SET LOCAL ROLE {role}", f"SET SESSION AUTHORIZATION {role}"))
        act = dice.choice((Plot("", [self._query(dice, table)]), self._update(dice, table), self._delete(dice, table)))
        steps = [take, *(["RESET ROLE"] if dice.random() < 0.2 else []), *act.steps]
        return Plot("role", steps, role=role)

    def _savepoint(self, dice: Random, table: Table) -> Plot:
        fails = dice.choice(("SELECT 1 / 0", f"TRUNCATE {table.name}", "SELECT * FROM nowhere", "SET ROLE postgres"))
        act = dice.choice((self._query(dice, table), self._update(dice, table).steps[0]))
        return Plot("savepoint", ["SAVEPOINT s", fails, "ROLLBACK TO s", act, "RELEASE s", self._query(dice, table)])

    def _cursor(self, dice: Random, table: Table) -> Plot:
        kind = dice.choice(("NO SCROLL CURSOR", "SCROLL CURSOR", "INSENSITIVE CURSOR", "CURSOR WITH HOLD"))
        plain = f"SELECT * FROM {table.name} t WHERE {self._where(dice, table)}"
        steps = [f"DECLARE c {kind} FOR {plain}", "FETCH ALL FROM c"]
        if "HOLD" in kind:
            steps += ["COMMIT", "BEGIN", "FETCH BACKWARD ALL FROM c", "FETCH ALL FROM c"]
        else:
            steps += ["MOVE BACKWARD 1 IN c", f"DELETE FROM {table.name} WHERE CURRENT OF c"]
        return Plot("cursor", steps)

    def _prepared(self, dice: Random, table: Table) -> Plot:
        """The plan is the victim's: prepared and run in their transaction, run again in ours on the same session."""
        query = self._query(dice, table)
        mode = dice.choice(("auto", "force_generic_plan", "force_custom_plan"))
        before = [f"SET plan_cache_mode = {mode}", f"PREPARE p AS {query}", *["EXECUTE p"] * dice.choice((1, 6))]
        again = ["SAVEPOINT s", "EXECUTE p", "ROLLBACK TO s"] if dice.random() < 0.5 else []
        return Plot("prepared", [*again, "EXECUTE p"], before)

    def _definition(self, dice: Random, table: Table) -> Plot:
        name = table.name
        change = dice.choice(
            (
                *(f"ALTER TABLE {name} {how} ROW LEVEL SECURITY" for how in ("DISABLE", "NO FORCE")),
                *(f"ALTER TABLE {name} OWNER TO gtmc_app", f"DROP POLICY own_tenant ON {name}"),
                f"ALTER POLICY own_tenant ON {name} USING (true)",
                f"CREATE POLICY mine ON {name} USING (true)",
                f"GRANT ALL ON {name} TO PUBLIC",
                f"CREATE RULE r AS ON INSERT TO {name} DO ALSO DELETE FROM {name}",
                f"CREATE TRIGGER g BEFORE INSERT ON {name} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
                *(f"ALTER ROLE {role} BYPASSRLS" for role in self._roles),
                *(f"GRANT {role} TO gtmc_app" for role in (*self._roles, "pg_read_all_data", "postgres")),
                "CREATE ROLE thief SUPERUSER",
                f"CREATE PUBLICATION p FOR TABLE {name}",
            )
        )
        return Plot("definition", ["SAVEPOINT s", change, "ROLLBACK TO s", change, "ROLLBACK TO s", f"TABLE {name}"])

    def _leak(self, dice: Random, table: Table) -> Plot:
        """A cheap function or a shadowed one in a condition: it must not be shown rows the policy takes out."""
        name, theirs = table.name, self._tenants.theirs
        shows = (
            "CREATE FUNCTION pg_temp.show(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001"
            " AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$"
        )
        shadow = (
            "CREATE FUNCTION pg_temp.current_setting(text, boolean) RETURNS text LANGUAGE sql"
            f" AS $$ SELECT '{theirs}' $$"
        )
        equal = "CREATE FUNCTION pg_temp.same(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'"
        steps = dice.choice(
            (
                [shows, f"SELECT count(*) FROM {name} t WHERE pg_temp.show(t::text)"],
                [shows, f"CREATE TEMP VIEW v AS SELECT * FROM {name}", "SELECT * FROM v WHERE pg_temp.show(v::text)"],
                [shadow, "SET LOCAL search_path = pg_temp, pg_catalog", f"SELECT * FROM {name}"],
                [
                    equal,
                    "CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.same)",
                    "SET LOCAL search_path = pg_temp, pg_catalog",
                    f"SELECT * FROM {name}",
                ],
                [f"SELECT ({dice.choice(('t::text', f't.{table.tenant_column}'))})::numeric FROM {name} t"],
                [f"SELECT * FROM {name} t ORDER BY (t::text)::uuid"],
            )
        )
        return Plot("leak", steps)
