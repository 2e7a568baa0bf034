"""Searches every text and jsonb column of every table for a person: the work list of an erasure, and its proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from psycopg import sql

from gtmc_pipelines.model.addresses import plain_address, written_forms
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.text_forms import folded
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.folded_text import folded_sql, longest_ascii, pattern_of
from gtmc_pipelines.storage.statements import Handle, rows
from gtmc_pipelines.vault.erasure import ADDRESS, MIN_ID_CHARACTERS, Marks, is_about, parsed

# Asked of the catalog, not of our own list: a table that is added later is searched too.
_COLUMNS = """
SELECT n.nspname AS schema, c.relname AS table, a.attname AS column, format_type(a.atttypid, NULL) AS type
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'raw') AND a.attnum > 0 AND NOT a.attisdropped
   AND format_type(a.atttypid, NULL) IN ('text', 'character varying', 'jsonb', 'json', 'text[]')
   AND a.attname <> 'tenant_id'
   AND EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id')
 ORDER BY 1, 2, a.attnum
"""

_KNOWN = """
SELECT source, external_id FROM people WHERE tenant_id = %(tenant)s AND {email}
UNION SELECT source, person_id FROM intent_signals
 WHERE tenant_id = %(tenant)s AND {person_email} AND person_id IS NOT NULL
"""
_KNOWN_RAW = "SELECT external_id, payload::text AS payload FROM {table} WHERE tenant_id = %(tenant)s AND {mentions}"

# First the cheap test that nearly every row fails, then the exact one: joann@x.com is not ann@x.com.
_MENTIONS = """EXISTS (SELECT FROM (SELECT {folded} AS seen OFFSET 0) AS f
  WHERE EXISTS (SELECT FROM unnest(%(spellings)s::text[]) AS s WHERE strpos(f.seen, s) > 0)
    AND f.seen COLLATE "default" ~ %(pattern)s)"""

# What stands before and after an address. jsonb writes a line's end as `\n`: its n is no letter.
BEFORE = r"(^|[^[:alnum:]._+-]|\\[nrtbf]|\\u[0-9a-f]{4}|%[0-9a-f]{2})"
AFTER = r"($|[^[:alnum:].-]|[.-]($|[^[:alnum:]]))"

_PEOPLE_STREAMS = [s for streams in STREAMS.values() for s in streams if s.entities[0] is Entity.PERSON]

# In the table's own ids of people a short id is looked for too.
_PERSON_IDS = {("people", "external_id"), ("activities", "person_external_id"), ("intent_signals", "person_id")}

_HOLDS_ID = """EXISTS (SELECT FROM unnest(%(long_keys)s::text[]) AS k
  WHERE split_part(k, ':', 1) = {source} AND strpos({text}, to_json(substr(k, strpos(k, ':') + 1))::text) > 0)"""

# A dead letter's bytes that were no JSON are kept in base64; text among them is UTF-8 without NUL.
_BYTES = """(CASE WHEN {0} ->> 'base64' ~ '^([A-Za-z0-9+/]{{4}})*([A-Za-z0-9+/]{{2}}==|[A-Za-z0-9+/]{{3}}=)?$'
  THEN CASE WHEN encode(decode({0} ->> 'base64', 'base64'), 'hex') ~ {utf_8}
    THEN convert_from(decode({0} ->> 'base64', 'base64'), 'UTF8')
    ELSE encode(decode({0} ->> 'base64', 'base64'), 'escape') END ELSE {0}::text END)"""
_UTF_8 = (
    "^(0[1-9a-f]|[1-7].|(c[2-9a-f]|d.)[89ab].|e0[ab].[89ab].|e[1-9abcef]([89ab].){2}|ed[89].[89ab]."
    "|f0[9ab].([89ab].){2}|f[123]([89ab].){3}|f48.([89ab].){2})*$"
)


@dataclass(frozen=True, slots=True)
class Person:
    """Whom to look for: an address in plain form, and the ids vendors know the person by."""

    email: str = field(repr=False)
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)

    def parameters(self, tenant_id: str) -> dict[str, Any]:
        """Values of the conditions below."""
        keys = sorted((source, one) for source, known in self.ids.items() for one in known)
        return {
            "tenant": tenant_id,
            "email": self.email,
            "spellings": _spellings(self.email),
            "pattern": _pattern(self.email),
            "keys": [f"{source}:{one}" for source, one in keys],
            "long_keys": [f"{source}:{one}" for source, one in keys if len(one) >= MIN_ID_CHARACTERS],
        }

    def marks(self, source: str) -> Marks:
        """How to recognise the person in what one vendor delivered."""
        known = self.ids.get(source, frozenset())
        return Marks(lambda address: address == self.email, lambda text: text in known)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that can hold text."""

    schema: str
    table: str
    column: str
    type: str

    @property
    def name(self) -> str:
        """The table's name, with its schema unless that is the ordinary one."""
        return self.table if self.schema == "public" else f"{self.schema}.{self.table}"

    @property
    def text(self) -> sql.Composed:
        """The column's text, as an expression."""
        words = _BYTES if self.name == "dead_letters" and self.column == "payload" else "{}::text"
        return sql.SQL(words).format(sql.Identifier(self.column), utf_8=sql.Literal(_UTF_8))

    @property
    def mentions(self) -> sql.Composed:
        """True where the column mentions the person's address in any form."""
        return sql.SQL(_MENTIONS).format(folded=folded_sql(self.text))

    def condition(self, source: sql.Composable) -> sql.Composed:
        """True for a row whose column mentions the person. Parameters are those of `Person.parameters`.

        `source` is the vendor whose ids are looked for: one vendor's id is another's number of anything.
        """
        name, text = sql.Identifier(self.column), self.text
        parts = [self.mentions]
        if self.type.startswith("json"):
            parts.append(sql.SQL(_HOLDS_ID).format(text=text, source=source))
        elif self.type != "text[]":
            keys = sql.Placeholder("keys" if (self.table, self.column) in _PERSON_IDS else "long_keys")
            parts.append(sql.SQL("{} || ':' || {} = ANY ({}::text[])").format(source, name, keys))
        return sql.SQL("coalesce({}, false)").format(sql.SQL(" OR ").join(parts))


def address_of(text: str) -> str:
    """The person's address in the form it is compared in. Raises Misuse `bad_address` without repeating it."""
    address = plain_address(text) or folded(text).strip()
    if not ADDRESS.fullmatch(address):
        raise Misuse("bad_address", "That is no e-mail address.", next_step="Write it like kim@example.com.")
    return address


def identify(handle: Handle, tenant_id: str, email: str, external_ids: Mapping[str, frozenset[str]]) -> Person:
    """The person with this address: the ids given, and those that stored rows and records of people give."""
    ids = {source: set(known) for source, known in external_ids.items()}
    values = Person(email).parameters(tenant_id)
    columns = {(table, each.column): each for table, found in text_columns(handle).items() for each in found}
    known = sql.SQL(_KNOWN).format(
        email=columns["people", "email"].mentions, person_email=columns["intent_signals", "person_email"].mentions
    )
    for each in rows(handle, known, values):
        ids.setdefault(each["source"], set()).add(each["external_id"])
    for stream in _PEOPLE_STREAMS:
        payload, source = columns[stream.raw_table, "payload"], stream.connector.value
        table = sql.Identifier(payload.schema, payload.table)
        marks = Person(email).marks(source)
        for each in rows(handle, sql.SQL(_KNOWN_RAW).format(table=table, mentions=payload.mentions), values):
            if is_about(parsed(each["payload"]), marks):
                ids.setdefault(source, set()).add(each["external_id"])
    return Person(email, {source: frozenset(found) for source, found in ids.items()})


def text_columns(handle: Handle) -> dict[str, list[Column]]:
    """Every searched column by the name of its table."""
    found: dict[str, list[Column]] = {}
    for values in rows(handle, _COLUMNS):
        column = Column(**values)
        found.setdefault(column.name, []).append(column)
    return found


def find_person(database: Database, tenant_id: str, person: Person) -> dict[str, int]:
    """Rows that mention the person by `table.column`; empty when there are none. One pass over each table."""
    with database.tenant(tenant_id) as handle:
        tables = text_columns(handle)
    found: dict[str, int] = {}
    for name, columns in tables.items():
        with database.tenant(tenant_id) as handle:
            (counts,) = rows(handle, _count(columns), person.parameters(tenant_id))
        found |= {f"{name}.{column}": int(number) for column, number in counts.items() if number}
    return found


def mentions_in(columns: list[Column]) -> sql.Composed:
    """True for a row of a table with any column that mentions the person."""
    source = source_of(columns)
    return sql.SQL("({})").format(sql.SQL(" OR ").join(column.condition(source) for column in columns))


def source_of(columns: list[Column]) -> sql.Composable:
    """The vendor of a table's rows, as an expression; null where rows have none."""
    names = {column.column for column in columns}
    first = columns[0]
    if first.schema == "raw":
        return sql.Literal(first.table.split("_", 1)[0])
    if "source" in names:
        return sql.Identifier("source")
    if "connector_id" in names:
        return sql.SQL("(SELECT c.type FROM connectors c WHERE c.id = {}.connector_id)").format(
            sql.Identifier(first.table)
        )
    return sql.SQL("NULL::text")


def _count(columns: list[Column]) -> sql.Composed:
    source = source_of(columns)
    counted = sql.SQL(", ").join(
        sql.SQL("count(*) FILTER (WHERE {}) AS {}").format(column.condition(source), sql.Identifier(column.column))
        for column in columns
    )
    table = sql.Identifier(columns[0].schema, columns[0].table)
    return sql.SQL("SELECT {} FROM {} WHERE tenant_id = %(tenant)s").format(counted, table)


NOT_KNOWN = (
    "names in free text that stand there without the address or an id, letters of other alphabets that look alike, and "
    "what has left this database (backups, logs, the vendors' own records)"
)
"""What no search of ours can find of a person; the proof of an erasure says so."""


def looked_for(person: Person) -> str:
    """What a search looks for, without naming anybody."""
    forms, ids = len(written_forms(person.email)), sum(map(len, person.ids.values()))
    return (
        f"the address in {forms} spelling{'s' if forms > 1 else ''} of its host and as URLs write it, as the eye reads"
        " it (either case, composed and full-width letters, nothing invisible), "
        f"and {ids} id{'' if ids == 1 else 's'} of vendors"
    )


def escaped(text: str) -> str:
    """A part of a folded address as a pattern of PostgreSQL."""
    return pattern_of(text)


def _pattern(email: str) -> str:
    """The address in any written form, where no other address begins or goes on."""
    forms = [escaped(form).replace("@", "(@|%40)").replace(r"\+", r"(\+|%2b)") for form in _forms(email)]
    return f"{BEFORE}({'|'.join(forms)}){AFTER}"


def _forms(email: str) -> list[str]:
    """The address as texts have it once they are folded; letters outside ASCII also as URLs write them."""
    forms = written_forms(email)
    return [*forms, *(quote(form, safe="@+").lower() for form in forms if not form.isascii())]


def _spellings(email: str) -> list[str]:
    """A part of each form that every text with it holds: as it is, and as URLs write it."""
    plain = [longest_ascii(form) for form in _forms(email)]
    as_is_or_in_urls = [form for text in plain for form in (text, text.replace("@", "%40"))]
    with_plus = [text.replace("+", "%2b") for text in as_is_or_in_urls if "+" in text]
    return list(dict.fromkeys([*as_is_or_in_urls, *with_plus]))
