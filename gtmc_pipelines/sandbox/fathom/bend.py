"""Faults of a page of meetings: spoilt records, cursors that loop or lead elsewhere, things that aren't ready."""

from __future__ import annotations

import json
from typing import Any

from gtmc_pipelines.sandbox.knobs import Knob
from gtmc_pipelines.sandbox.vendor import Exchange

RECORD_FAULTS = {
    "record_without_id": "one meeting of a page has no recording_id",
    "null_field": "one meeting has null in `field` (default title)",
    "extra_field": "every meeting has an unknown `field` (default surprise) with `value`",
    "dropped_field": "no meeting has `field` (default calendar_invitees)",
    "retyped_field": "every meeting has `value` (default the text n/a) in `field` (default recording_start_time)",
    "huge_transcript": "one meeting has `bytes` (default 500000) of transcript, as JSON",
    "late_transcript": "transcripts of the page are null, as if not ready; count: how many pages",
    "late_summary": "summaries of the page are null, as if not ready",
}
PAGE_FAULTS = {
    "cursor_loop": "next_cursor leads to the same page again",
    "empty_page": "a page without items whose next_cursor leads to the page's own meetings",
    "foreign_next": "next_cursor is `url` (default https://attacker.example/…); last pages get one too",
    "malformed_page": "the answer breaks off in the middle, with a fitting Content-Length",
}
_FIELDS = {
    "null_field": "title",
    "extra_field": "surprise",
    "dropped_field": "calendar_invitees",
    "retyped_field": "recording_start_time",
}


def page(document: dict[str, Any], exchange: Exchange, account: str, own_cursor: str) -> bytes:
    """The page's bytes with the faults that strike now; `own_cursor` leads to this page again."""
    struck = [(name, exchange.struck(name, account)) for name in (*RECORD_FAULTS, *PAGE_FAULTS)]
    faults = {name: knob for name, knob in struck if knob is not None}
    for name, knob in faults.items():
        if name in RECORD_FAULTS:
            _bend_records(document["items"], name, knob)
        elif name != "malformed_page":
            _bend_page(document, name, knob, own_cursor)
    exchange.served(len(document["items"]), account)
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return data[: len(data) // 2] if "malformed_page" in faults else data


def _bend_records(items: list[dict[str, Any]], name: str, knob: Knob) -> None:
    if not items:
        return
    wish, middle = knob.parameters, items[len(items) // 2]
    field = str(wish.get("field", _FIELDS.get(name, "")))
    if name == "record_without_id":
        del middle["recording_id"]
    elif name == "null_field":
        middle[field] = None
    elif name == "huge_transcript" and middle.get("transcript"):
        first = middle["transcript"][0]
        long_winded = first | {"text": "And so on, and so forth, as was said before at great length."}
        times = int(wish.get("bytes", 500_000)) // len(json.dumps(long_winded, ensure_ascii=False).encode())
        middle["transcript"] = [long_winded] * max(1, times + 1)
    for record in items:
        if name == "extra_field":
            record[field] = wish.get("value", "surprise")
        elif name == "retyped_field":
            record[field] = wish.get("value", "n/a")
        elif name == "dropped_field":
            record.pop(field, None)
        elif name == "late_transcript":
            record["transcript"] = None
        elif name == "late_summary":
            record["default_summary"] = None


def _bend_page(document: dict[str, Any], name: str, knob: Knob, own_cursor: str) -> None:
    document["next_cursor"] = own_cursor
    if name == "foreign_next":
        document["next_cursor"] = str(knob.parameters.get("url", "https://attacker.example/external/v1/meetings"))
    elif name == "empty_page":
        document["items"] = []
