"""Whole records where one query can't hold the select list: the parts asked for by id, each record of one moment.

Salesforce refuses a select list of many formula fields (`QUERY_TOO_COMPLICATED`). The pages then hold its first
part; the other parts are asked for by the ids of a page. A record whose parts have different stamps changed in
between: all its parts are asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gtmc_pipelines.connectors.error_rules import outside_contract
from gtmc_pipelines.connectors.json_pages import UNREADABLE, decode_page
from gtmc_pipelines.connectors.salesforce.api import SalesforceSession
from gtmc_pipelines.connectors.salesforce.checkpoint import checked_next_path
from gtmc_pipelines.connectors.salesforce.composite import MOST_SOQL_CHARACTERS
from gtmc_pipelines.connectors.salesforce.soql import Selection
from gtmc_pipelines.connectors.vendor_numbers import count_of
from gtmc_pipelines.model.errors import Broken

TOO_COMPLICATED = "query_too_complicated"
ATTEMPTS = 4
_FEWEST_FIELDS = 12
_FEWEST_IDS = 25
_ID_CHARACTERS = 22  # in a list: quotes, comma and space too

Members = dict[str, msgspec.Raw]
"""A record's members, each with the vendor's own bytes."""


class Answer(msgspec.Struct, rename={"next_path": "nextRecordsUrl", "stated_size": "totalSize"}):
    """A query answer; the records keep their own bytes."""

    done: bool
    records: list[msgspec.Raw] = []
    next_path: str | None = None
    stated_size: object = 0

    @property
    def total_size(self) -> int:
        """Records the query has. Raises Broken (`unexpected_answer`) when it is no number that can be true."""
        if (found := count_of(self.stated_size)) is None:
            raise outside_contract("Salesforce", "number of records")
        return found


_ANSWER = msgspec.json.Decoder(Answer)
_MEMBERS = msgspec.json.Decoder(Members)
_ID = msgspec.json.Decoder(str)


def answer_of(body: bytes) -> Answer:
    """A query answer taken apart. Raises Broken (`unparsable_page`)."""
    return decode_page(body, _ANSWER, "Salesforce")


@dataclass(frozen=True, slots=True)
class WholeRecords:
    """Reads records of one selection by id, in as many parts as the vendor makes necessary."""

    session: SalesforceSession
    selection: Selection
    page_records: int

    def completed(self, firsts: Sequence[msgspec.Raw], parts: int) -> tuple[list[msgspec.Raw], int]:
        """The records whose first of `parts` is given, whole; and how many are left out.

        Left out is what was changed again and again meanwhile, or is gone: its new stamp is of after this
        read's upper bound, so the next sync reads it.
        """
        known = {key: members for members in map(_members, firsts) if (key := _key(members))}
        order, others = list(known), [raw for raw in firsts if not _key(_members(raw))]  # rejected later on
        whole: dict[str, msgspec.Raw] = {}
        for attempt in range(ATTEMPTS):
            if attempt:
                known = self._read(self.selection.part(0, parts), list(known))
            found, known = self._joined(known, parts)
            whole |= found
            if not known:
                break
        return [*(whole[key] for key in order if key in whole), *others], len(firsts) - len(whole) - len(others)

    def of_ids(self, ids: Sequence[str]) -> list[msgspec.Raw]:
        """These records whole, each of one moment, deleted ones too; those that are gone are left out."""
        parts = 1
        while True:
            try:
                firsts = self._read(self.selection.part(0, parts), ids, is_split=False).values()
                raws = [_encoded(each) for each in firsts]
                return raws if parts == 1 else self.completed(raws, parts)[0]
            except Broken as fault:
                if fault.code != TOO_COMPLICATED or parts >= len(self.selection.fields):
                    raise
            parts *= 2

    def _joined(self, known: Mapping[str, Members], parts: int) -> tuple[dict[str, msgspec.Raw], dict[str, Members]]:
        """The records all parts of which have one stamp, joined; and those to ask for again."""
        joined = {key: dict(members) for key, members in known.items()}
        torn: set[str] = set()
        held: Members = next(iter(known.values()), {})
        rest = self.selection.less(held)
        for number in range(parts - 1):
            part = rest.part(number, parts - 1)
            found = self._read(part, list(joined))
            for key, members in joined.items():
                more = found.get(key)
                if more is None or bytes(more[part.stamp]) != bytes(members[part.stamp]):
                    torn.add(key)
                else:
                    joined[key] = {**members, **more}
        whole = {key: _encoded(members) for key, members in joined.items() if key not in torn}
        return whole, {key: members for key, members in known.items() if key in torn}

    def _read(self, part: Selection, ids: Sequence[str], *, is_split: bool = True) -> dict[str, Members]:
        """A part of these records by id. What is too much for one query is asked for in halves."""
        try:
            return {key: each for each in self._pages(part, ids) if (key := _key(each))} if ids else {}
        except Broken as fault:
            if fault.code != TOO_COMPLICATED or not is_split:
                raise
            if len(part.fields) <= _FEWEST_FIELDS and len(ids) <= _FEWEST_IDS:
                raise
        if len(part.fields) <= _FEWEST_FIELDS:
            middle = len(ids) // 2
            return self._read(part, ids[:middle]) | self._read(part, ids[middle:])
        left, right = (self._read(part.part(number, 2), ids) for number in (0, 1))
        return {
            key: {**members, **right[key]}
            for key, members in left.items()
            if key in right and bytes(right[key][part.stamp]) == bytes(members[part.stamp])
        }

    def _pages(self, part: Selection, ids: Sequence[str]) -> Iterator[Members]:
        size = max(1, (MOST_SOQL_CHARACTERS - len(part.of_ids([]))) // _ID_CHARACTERS)
        for start in range(0, len(ids), size):
            yield from self._pages_of(part, ids[start : start + size])

    def _pages_of(self, part: Selection, ids: Sequence[str]) -> Iterator[Members]:
        answer = answer_of(self.session.query(part.of_ids(ids), page_records=self.page_records))
        while True:
            yield from (members for raw in answer.records if (members := _members(raw)))
            if not answer.next_path:
                return
            path = checked_next_path(answer.next_path)
            answer = answer_of(self.session.query_more(path, page_records=self.page_records))


def _members(raw: msgspec.Raw) -> Members:
    """A record's members; none for what is no object."""
    try:
        return _MEMBERS.decode(raw)
    except UNREADABLE:
        return {}


def _key(members: Members) -> str:
    try:
        return _ID.decode(members.get("Id", msgspec.Raw(b'""')))
    except UNREADABLE:
        return ""


def _encoded(members: Members) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(members))
