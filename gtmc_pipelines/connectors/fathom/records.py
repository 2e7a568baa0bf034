"""Fathom's pages taken apart: meetings with their own bytes, and those that can't be landed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from gtmc_pipelines.connectors.json_pages import UNREADABLE, decode_page
from gtmc_pipelines.model.records import RejectedRecord, SourceRecord

_LONGEST_ID = 64


class Envelope(msgspec.Struct):
    """A page; the meetings keep their own bytes."""

    items: list[msgspec.Raw] | None = None
    next_cursor: str | None = None


class _Head(msgspec.Struct):
    """What has to be known of a meeting before it is mapped. The contract says int; texts are taken, too."""

    recording_id: int | str


_ENVELOPE = msgspec.json.Decoder(Envelope)
_HEAD = msgspec.json.Decoder(_Head)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])

Complete = Callable[[str, dict[str, msgspec.Raw]], None]
"""Adds to the members of a meeting what the list left out, by its recording id."""


def envelope_of(body: bytes) -> Envelope:
    """A page taken apart. Raises Broken (`unparsable_page`)."""
    return decode_page(body, _ENVELOPE, "Fathom")


def records_of(
    items: Sequence[msgspec.Raw] | None, complete: Complete | None = None
) -> tuple[list[SourceRecord], list[RejectedRecord]]:
    """Records with their own bytes, `complete`d where that is asked for; those without an id are rejected.

    Fathom tells no time of change, so records carry none.
    """
    records: list[SourceRecord] = []
    rejects: list[RejectedRecord] = []
    for item in items or ():  # null is an empty page
        data = bytes(item)
        recording_id = _id_of(data)
        if isinstance(recording_id, RejectedRecord):
            rejects.append(recording_id)
            continue
        if complete is not None:
            members = _MEMBERS.decode(data)
            complete(recording_id, members)
            data = msgspec.json.encode(members)
        records.append(SourceRecord(recording_id, data, None))
    return records, rejects


def _id_of(data: bytes) -> str | RejectedRecord:
    try:
        found = str(_HEAD.decode(data).recording_id).strip()
    except msgspec.ValidationError:
        return _rejected(data)
    except UNREADABLE:
        return RejectedRecord(None, "malformed_record", "The meeting is not valid JSON.")
    if not found or len(found) > _LONGEST_ID or not found.replace("-", "").replace("_", "").isalnum():
        return RejectedRecord(None, "missing_id", "The meeting has no usable recording_id.")
    return found


def _rejected(data: bytes) -> RejectedRecord:
    if data.lstrip()[:1] == b"{":
        return RejectedRecord(None, "missing_id", "The meeting has no recording_id.")
    return RejectedRecord(None, "not_an_object", "The meeting is not an object.")
