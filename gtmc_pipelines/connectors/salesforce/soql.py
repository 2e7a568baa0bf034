"""SOQL built from checked names and typed values only: nothing of a record or a setting is pasted in."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gtmc_pipelines.model.errors import Broken

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


@dataclass(frozen=True, slots=True)
class Position:
    """The last record read, in reading order: by change time, then by id."""

    stamp: datetime
    record_id: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read of an object: `stamp` is the field that orders and windows the read."""

    object_name: str
    fields: tuple[str, ...]
    stamp: str

    def count(self, until: datetime) -> str:
        """How many records there are before `until`."""
        return " ".join(("SELECT COUNT() FROM", _name(self.object_name), "WHERE", self._before(until)))

    def everything(self, until: datetime) -> str:
        """All records before `until`, unordered: Bulk API can then split the work."""
        return f"{self._select()} WHERE {self._before(until)}"

    def window(
        self, lower: datetime | None, until: datetime, after: Position | None = None, limit: int | None = None
    ) -> str:
        """Records of the half-open window [lower, until), in reading order, those up to `after` left out."""
        stamp = _name(self.stamp)
        conditions = [] if lower is None or after is not None else [f"{stamp} >= {literal(lower)}"]
        if after is not None:
            at = literal(after.stamp)
            conditions.append(f"({stamp} > {at} OR ({stamp} = {at} AND Id > {quoted_id(after.record_id)}))")
        conditions.append(self._before(until))
        tail = f" LIMIT {limit:d}" if limit else ""
        return f"{self._select()} WHERE {' AND '.join(conditions)} ORDER BY {stamp}, Id{tail}"

    def of_ids(self, ids: Sequence[str]) -> str:
        """The records with these ids, in no order."""
        return f"{self._select()} WHERE Id IN ({', '.join(map(quoted_id, ids))})"

    def after_id(self, record_id: str, until: datetime, limit: int) -> str:
        """Records before `until` whose id is greater, by id; `record_id` may be empty."""
        after = f"Id > {quoted_id(record_id)} AND " if record_id else ""
        return f"{self._select()} WHERE {after}{self._before(until)} ORDER BY Id LIMIT {limit:d}"

    def part(self, number: int, of: int) -> Selection:
        """One of `of` parts of the select list, each with what tells a record and its moment."""
        rest = [name for name in self.fields if name not in self._keys]
        size = -(-len(rest) // of)
        return replace(self, fields=(*self._keys, *rest[number * size : (number + 1) * size]))

    def less(self, held: Collection[str]) -> Selection:
        """What isn't `held` yet, and what tells a record and its moment."""
        return replace(self, fields=(*self._keys, *(name for name in self.fields if name not in held)))

    @property
    def _keys(self) -> tuple[str, ...]:
        return tuple(name for name in ("Id", "IsDeleted", self.stamp) if name in self.fields)

    def _select(self) -> str:
        return " ".join(("SELECT", ", ".join(map(_name, self.fields)), "FROM", _name(self.object_name)))

    def _before(self, until: datetime) -> str:
        return f"{_name(self.stamp)} < {literal(until)}"


def by_id(object_name: str, stamp: str, record_ids: Sequence[str]) -> str:
    """Whether these records are there: their ids, deletion marks and change times."""
    among = ",".join(map(quoted_id, record_ids))
    return " ".join(("SELECT Id, IsDeleted,", _name(stamp), "FROM", _name(object_name), f"WHERE Id IN ({among})"))


def live_count(object_name: str, until: datetime) -> str:
    """How many records made before `until` are not deleted."""
    live = f"WHERE IsDeleted = false AND CreatedDate < {literal(until)}"
    return " ".join(("SELECT COUNT() FROM", _name(object_name), live))


def is_record_id(text: str) -> bool:
    """True when `text` can be the id of a record."""
    return _ID.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """True when `text` can be the name of an object or a field."""
    return _NAME.fullmatch(text) is not None


def literal(moment: datetime) -> str:
    """A SOQL datetime literal: UTC, milliseconds (cut, not rounded), no quotes."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def quoted_id(record_id: str) -> str:
    """A record id as a SOQL string. Raises Broken for anything that isn't one."""
    if not _ID.fullmatch(record_id):
        raise Broken("bad_record_id", "A stored position holds no Salesforce id.", next_step="Run a full sync.")
    return f"'{record_id}'"


def _name(text: str) -> str:
    if not is_name(text):
        raise Broken("bad_field_name", "A name for a query is no Salesforce field or object name.")
    return text
