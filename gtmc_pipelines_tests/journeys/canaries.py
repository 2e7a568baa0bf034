"""A net for secrets and people: every place where a program of ours writes, and what must not be in it.

A place is a name and its bytes: a file, a table's rows, what a command printed. Secrets are looked for as
they are, URL-encoded, in base64 at any alignment, in hex, and escaped as in JSON.
"""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import psycopg

ADDRESS = re.compile(rb"[\w.+'-]{1,64}(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_SQLITE = b"SQLite format 3\x00"
_TABLES = """
SELECT format('%I.%I', schemaname, relname) FROM pg_stat_user_tables ORDER BY 1
"""

Place = tuple[str, bytes]


def forms(secret: str) -> set[bytes]:
    """The texts a secret can be found as. Base64 differs by where it starts among three bytes."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), quote_plus(secret).encode(), json.dumps(secret)[1:-1].encode()}
    found |= {raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        inside = coded[-(-shift * 8 // 6) :].rstrip(b"=")[:-1]  # the characters that no neighbour has a say in
        found |= {inside, inside.replace(b"+", b"-").replace(b"/", b"_")}
    return found


class Net:
    """What to look for: secrets by name. `caught` says where which one is."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {name: forms(value) for name, value in secrets.items()}

    def caught(self, place: Place) -> list[str]:
        """`<secret> in <place>` for each secret found there, never the secret itself."""
        where, content = place
        return [f"{name} in {where}" for name, texts in self._forms.items() if any(text in content for text in texts)]


def addresses(content: bytes) -> set[bytes]:
    """E-mail addresses in a text, in lower case, those in URLs included."""
    return {found.lower().replace(b"%40", b"@") for found in ADDRESS.findall(content)}


def files(folder: Path) -> Iterator[Place]:
    """Every file under a folder as it is, and the rows of every SQLite database among them.

    A database's own pages cut long values in pieces; its rows don't.
    """
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            yield str(file), content
            if content.startswith(_SQLITE):
                yield from _rows_of(file)


def tables(url: str) -> Iterator[Place]:
    """Every table of a PostgreSQL database."""
    with psycopg.connect(url.replace("+psycopg2", "").replace("+psycopg", "")) as connection:
        for (table,) in connection.execute(_TABLES).fetchall():
            found = connection.execute(f"SELECT * FROM {table}".encode()).fetchall()
            yield table, _text(found)


def _rows_of(file: Path) -> Iterator[Place]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            found = connection.execute(f'SELECT * FROM "{table.decode()}"').fetchall()
            yield f"{file}:{table.decode()}", _text(found)


def _text(rows: Iterable[tuple[Any, ...]]) -> bytes:
    return b"\n".join(b"\t".join(map(_cell, row)) for row in rows)


def _cell(value: Any) -> bytes:
    """A value as text; what was compressed (Dagster's snapshots) unpacked."""
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        with suppress(zlib.error):
            return zlib.decompress(raw)
        return raw
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str).encode()
    return str(value).encode()
