"""What a full read didn't see, asked for by id; and how many live records an object has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from gtmc_pipelines.connectors.salesforce.api import SalesforceSession
from gtmc_pipelines.connectors.salesforce.rest_pages import records_of
from gtmc_pipelines.connectors.salesforce.soql import by_id, is_record_id, live_count
from gtmc_pipelines.connectors.salesforce.streams import OBJECTS, selected_fields, selection_of
from gtmc_pipelines.connectors.salesforce.whole_records import answer_of
from gtmc_pipelines.model.records import Census, Found, SourceRecord, Unseen

MOST_IDS = 200
"""Ids a request asks for: about 5,500 bytes of URI, a third of what Salesforce takes with its headers."""


def still_there(session: SalesforceSession, stream: str, unseen: Sequence[Unseen]) -> Iterator[Found]:
    """By queryAll, which knows the recycle bin: deleted ones are told as deleted, live ones as present.

    A live one was changed while the full read was under way, and the next incremental sync brings it. One that
    is in no answer was deleted for good, has left the recycle bin, or is hidden from the connected user:
    Salesforce doesn't tell which.
    """
    stamp = selection_of(stream, selected_fields(stream, session.describe(OBJECTS[stream]))).stamp
    ids = [one.external_id for one in unseen if is_record_id(one.external_id)]
    for start in range(0, len(ids), MOST_IDS):
        answer = answer_of(session.query(by_id(OBJECTS[stream], stamp, ids[start : start + MOST_IDS])))
        found, _ = records_of(answer.records)
        gone = [SourceRecord(one.external_id, b"{}", one.source_updated_at, True) for one in found if one.is_deleted]
        yield Found(gone, [one.external_id for one in found if not one.is_deleted])


def census(session: SalesforceSession, stream: str, until: datetime) -> Iterator[Census]:
    """One COUNT() of what is live; queryAll counts archived tasks and events, too, as reads do."""
    counted = answer_of(session.query(live_count(OBJECTS[stream], until)))
    yield Census("COUNT() of live records", counted.total_size)
