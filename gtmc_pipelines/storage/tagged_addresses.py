"""Addresses that differ from a person's only by a tag, as ann+news@… from ann@…: told, and never erased unasked."""

from __future__ import annotations

from collections import Counter

from psycopg import sql

from gtmc_pipelines.model.addresses import written_forms
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.folded_text import folded_sql, longest_ascii
from gtmc_pipelines.storage.person_search import AFTER, BEFORE, Column, escaped, text_columns
from gtmc_pipelines.storage.statements import rows

_TAGS = """
SELECT coalesce(replace(m[2], '%%2b', '+'), '') AS tag, count(DISTINCT t.ctid) AS number
  FROM {table} t CROSS JOIN LATERAL (SELECT {folded} AS seen OFFSET 0) f
 CROSS JOIN LATERAL regexp_matches(f.seen COLLATE "default", %(pattern)s, 'g') m
 WHERE t.tenant_id = %(tenant)s
   AND EXISTS (SELECT FROM unnest(%(starts)s::text[]) AS start WHERE strpos(f.seen, start) > 0)
 GROUP BY 1
"""


def find_tagged(database: Database, tenant_id: str, email: str) -> dict[str, int]:
    """Mentions of such addresses by their tag: `+news`, or empty for the address without one. One pass over each table.

    `email` is in plain form. The address itself isn't counted.
    """
    local = email.partition("@")[0]
    base, plus, tag = local.partition("+")
    if not base:
        return {}
    starts = [longest_ascii(f"{base}{end}") for end in ("+", "%2b", *(("@", "%40") if plus else ()))]
    hosts = "|".join(escaped(form.rpartition("@")[2]) for form in written_forms(email))
    pattern = rf"{BEFORE}{escaped(base)}((?:\+|%2b)[[:alnum:]._+'-]+)?(?:@|%40)(?:{hosts})(?={AFTER})"
    values = {"tenant": tenant_id, "pattern": pattern, "starts": starts}
    with database.tenant(tenant_id) as handle:
        columns = [column for found in text_columns(handle).values() for column in found]
    counts: Counter[str] = Counter()
    for column in columns:
        with database.tenant(tenant_id) as handle:
            for found in rows(handle, _statement(column), values):
                counts[found["tag"]] += found["number"]
    return {found: number for found, number in sorted(counts.items()) if found != plus + tag}


def _statement(column: Column) -> sql.Composed:
    return sql.SQL(_TAGS).format(table=sql.Identifier(column.schema, column.table), folded=folded_sql(column.text))
