"""The yardstick: the recommended design of reference/performance.md, minimal and unprotected.

Split, hash, probe, one straight-line mapping of 16 fields, COPY straight into two tables, one transaction
a page. No row security, no dead letters, no fence, no checkpoint, no guard against older versions.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
import psycopg

_TENANT = uuid.UUID("11111111-2222-4333-8444-555555555555")
_COLUMNS = {
    "first_name": "text", "last_name": "text", "email": "text", "phone": "text", "title": "text",
    "department": "text", "account_ref": "text", "owner_ref": "text", "city": "text", "country": "text",
    "lead_source": "text", "employees": "integer", "annual_value": "numeric", "score": "numeric",
    "source_created_at": "timestamptz", "source_updated_at": "timestamptz",
}  # fmt: skip
SCHEMA = f"""
DROP SCHEMA IF EXISTS yardstick CASCADE; CREATE SCHEMA yardstick;
CREATE TABLE yardstick.raw (tenant_id uuid NOT NULL, source text NOT NULL, object text NOT NULL,
  external_id text NOT NULL, payload jsonb NOT NULL, content_hash bytea NOT NULL, batch_id bigint NOT NULL,
  fetched_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant_id, source, object, external_id));
CREATE TABLE yardstick.people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id uuid NOT NULL,
  source text NOT NULL, external_id text NOT NULL, {", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())},
  content_hash bytea NOT NULL, batch_id bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(), UNIQUE (tenant_id, source, external_id));
CREATE INDEX ON yardstick.people (tenant_id, email);
"""
_PROBE = """
SELECT external_id, content_hash FROM yardstick.raw
WHERE tenant_id = %s AND source = 'salesforce' AND object = 'Contact' AND external_id = ANY(%s)
"""
_COPY_RAW = """
COPY yardstick.raw (tenant_id, source, object, external_id, content_hash, batch_id, payload)
FROM STDIN (FORMAT binary)
"""
_COPY_PEOPLE = f"""
COPY yardstick.people (tenant_id, source, external_id, content_hash, batch_id, {", ".join(_COLUMNS)})
FROM STDIN (DELIMITER E'\\x1f', NULL E'\\x1e')
"""
_SEP, _NULL = "\x1f", "\x1e"
_int = struct.Struct(">i").pack


class _Page(msgspec.Struct):
    records: list[msgspec.Raw]


class _Id(msgspec.Struct, gc=False):
    Id: str


class _Contact(msgspec.Struct, gc=False):
    FirstName: str | None = None
    LastName: str | None = None
    Email: str | None = None
    Phone: str | None = None
    Title: str | None = None
    Department: str | None = None
    AccountId: str | None = None
    OwnerId: str | None = None
    MailingCity: str | None = None
    MailingCountry: str | None = None
    LeadSource: str | None = None
    NumberOfEmployees__c: int | None = None
    Annual_Value__c: float | None = None
    Score__c: str | None = None
    CreatedDate: str | None = None
    LastModifiedDate: str | None = None


_page = msgspec.json.Decoder(_Page).decode
_id = msgspec.json.Decoder(_Id).decode
_contact = msgspec.json.Decoder(_Contact).decode


def load(connection: psycopg.Connection[Any], pages: Iterator[bytes]) -> int:
    """Write every page; how many records there were. The connection is autocommit."""
    connection.prepare_threshold = None
    records = 0
    for batch, body in enumerate(pages):
        raws = [bytes(raw) for raw in _page(body).records]
        found = {_id(raw).Id: (blake2b(raw, digest_size=16).digest(), raw) for raw in raws}
        with connection.transaction():
            stored = dict(connection.execute(_PROBE, (_TENANT, list(found)), binary=True).fetchall())
            new = {key: value for key, value in found.items() if stored.get(key) != value[0]}
            if new:
                _write(connection, new, batch)
        records += len(raws)
    return records


def _write(connection: psycopg.Connection[Any], new: dict[str, tuple[bytes, bytes]], batch: int) -> None:
    with connection.cursor().copy(_COPY_RAW) as copy:
        copy.write(_binary(new, batch))
    prefix = f"{_TENANT}{_SEP}salesforce{_SEP}"
    lines = []
    for key, (digest, raw) in new.items():
        row = _row(_contact(raw))
        if row is not None:
            lines.append(f"{prefix}{key}{_SEP}\\\\x{digest.hex()}{_SEP}{batch}{_SEP}{row}\n")
    with connection.cursor().copy(_COPY_PEOPLE) as copy:
        copy.write("".join(lines).encode())


def _binary(new: dict[str, tuple[bytes, bytes]], batch: int) -> bytes:
    head = struct.pack(">hi", 7, 16) + _TENANT.bytes + _int(10) + b"salesforce" + _int(7) + b"Contact"
    number = struct.pack(">iq", 8, batch)
    rows = [
        b"%b%b%b\0\0\0\x10%b%b%b\x01%b" % (head, _int(len(key)), key.encode(), digest, number, _int(len(raw) + 1), raw)
        for key, (digest, raw) in new.items()
    ]
    return b"PGCOPY\n\xff\r\n\0" + b"\0" * 8 + b"".join(rows) + b"\xff\xff"


def _row(contact: _Contact) -> str | None:
    """The 16 texts of a row, trimmed, folded and checked; None when a required one is missing."""
    last = contact.LastName.strip() if contact.LastName else ""
    if not last or not contact.CreatedDate:
        return None
    number, value, score = contact.NumberOfEmployees__c, contact.Annual_Value__c, contact.Score__c
    row = _SEP.join(
        (
            (contact.FirstName or "").strip() or _NULL,
            last,
            (contact.Email or "").lower().strip() or _NULL,
            "".join([c for c in contact.Phone if c in "+0123456789"]) if contact.Phone else _NULL,
            (contact.Title or "").strip() or _NULL,
            (contact.Department or "").upper().strip() or _NULL,
            contact.AccountId or _NULL,
            contact.OwnerId or _NULL,
            (contact.MailingCity or "").strip() or _NULL,
            (contact.MailingCountry or "").upper().strip() or _NULL,
            contact.LeadSource or _NULL,
            str(number) if number is not None and -(2**31) <= number < 2**31 else _NULL,
            repr(value) if value is not None and value - value == 0 else _NULL,
            str(float(score)) if score else _NULL,
            _moment(contact.CreatedDate),
            _moment(contact.LastModifiedDate) if contact.LastModifiedDate else _NULL,
        )
    )
    if "\\" in row or "\n" in row or "\r" in row:
        row = row.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return row


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat(" ")
