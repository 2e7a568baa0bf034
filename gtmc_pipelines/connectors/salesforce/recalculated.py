"""Calculated fields: their values change while SystemModstamp doesn't, so every record is looked at, lightly.

A page is ids and those fields only, by id; of what differs from what is stored the whole record is read, so that it
is of one moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from gtmc_pipelines.connectors.contract import Differing
from gtmc_pipelines.connectors.positions import decoded, encode
from gtmc_pipelines.connectors.salesforce.api import SalesforceSession
from gtmc_pipelines.connectors.salesforce.checkpoint import checked_next_path
from gtmc_pipelines.connectors.salesforce.rest_pages import records_of
from gtmc_pipelines.connectors.salesforce.soql import literal
from gtmc_pipelines.connectors.salesforce.streams import OBJECTS, selected_fields, selection_of
from gtmc_pipelines.connectors.salesforce.whole_records import WholeRecords, answer_of
from gtmc_pipelines.model.records import Page, ReadFrom

PAGE_RECORDS = 2_000


class LookedAt(msgspec.Struct, tag="calculated", tag_field="kind", frozen=True):
    """The last record that was looked at."""

    record_id: str


_CHECKPOINT = msgspec.json.Decoder(LookedAt)


def read_recalculated(
    session: SalesforceSession, stream: str, names: Sequence[str], start: ReadFrom, differing: Differing
) -> Iterator[Page]:
    """Pages of the whole records whose `names` differ from what is stored; empty ones where none does."""
    selection = selection_of(stream, selected_fields(stream, session.describe(OBJECTS[stream])))
    light = replace(selection, fields=("Id", selection.stamp, *names))
    whole, fields = WholeRecords(session, selection, PAGE_RECORDS), frozenset(selection.fields)
    after = decoded(start.checkpoint, _CHECKPOINT).record_id if start.checkpoint else ""
    while True:
        soql = light.after_id(after, start.until, PAGE_RECORDS)
        found, _ = records_of(_all_of(session, soql))
        records, rejects = records_of(whole.of_ids(sorted(differing(found)))) if found else ([], [])
        if len(found) < PAGE_RECORDS:
            yield Page(records, None, literal(start.until), rejects, fields=fields)
            return
        after = found[-1].external_id
        yield Page(records, encode(LookedAt(after)), None, rejects, fields=fields)


def _all_of(session: SalesforceSession, soql: str) -> list[msgspec.Raw]:
    """All records of a query that has a limit, whatever the vendor makes of the page size."""
    answer = answer_of(session.query(soql, page_records=PAGE_RECORDS, include_deleted=False))
    records = answer.records
    while answer.next_path:
        answer = answer_of(session.query_more(checked_next_path(answer.next_path), page_records=PAGE_RECORDS))
        records += answer.records
    return records
