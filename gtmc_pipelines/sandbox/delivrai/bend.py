"""Faults inside an answer of the imitated Delivr.ai: good pages with something wrong in them."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.knobs import Knob
from gtmc_pipelines.sandbox.vendor import Exchange

RECORD_FAULTS = {
    "record_without_id": "one record of a page has no id (a company: no domain)",
    "null_field": "one record has null in `field` (default occurredAt)",
    "extra_field": "every record has an unknown `field` (default surprise) with `value`",
    "dropped_field": "no record has `field` (default contentTopic)",
    "huge_record": "one record has `bytes` (default 1000000) of text in `field` (default contentTopic)",
    "retyped_field": "every record has `value` (default the text n/a) in `field` (default dwellTimeSeconds)",
    "repeated_record": "the first record of a page comes twice",
}
PAGE_FAULTS = {
    "foreign_next": "the next cursor is `url` (default https://attacker.example/…); last pages get one too",
    "cursor_loop": "the next cursor leads to the same page again",
    "fresh_cursor_loop": "the same, under another cursor each time",
    "empty_page": "a page without records whose cursor leads to the page's own records",
    "list_key": "the records come under `key` (default signals)",
    "malformed_page": "the answer breaks off in the middle, with a fitting Content-Length",
}
_IDS = ("id", "event_id", "domain", "company_domain")
_FIELDS = {
    "null_field": "occurredAt",
    "extra_field": "surprise",
    "dropped_field": "contentTopic",
    "huge_record": "contentTopic",
    "retyped_field": "dwellTimeSeconds",
}


def page(document: dict[str, Any], exchange: Exchange, org: str, list_key: str, cursor_key: str, own: str) -> Response:
    """A page with the faults that strike now; `own` is a cursor that leads to this page again."""
    struck = [(name, exchange.struck(name, org)) for name in (*RECORD_FAULTS, *PAGE_FAULTS)]
    faults = {name: knob for name, knob in struck if knob is not None}
    inner = document.get("response", document)
    for name, knob in faults.items():
        if name in RECORD_FAULTS:
            _bend_records(inner[list_key], name, knob)
        else:
            _bend_page(inner, name, knob, list_key, cursor_key, own)
    if "list_key" in faults:
        inner[str(faults["list_key"].parameters.get("key", "signals"))] = inner.pop(list_key)
        list_key = str(faults["list_key"].parameters.get("key", "signals"))
    exchange.served(len(inner[list_key]), org)
    if "malformed_page" in faults:
        data = json.dumps(document, ensure_ascii=False).encode()
        return Response(data[: len(data) // 2], media_type="application/json")
    return JSONResponse(document)


def _bend_records(records: list[dict[str, Any]], name: str, knob: Knob) -> None:
    if not records:
        return
    wish, middle = knob.parameters, records[len(records) // 2]
    field = str(wish.get("field", _FIELDS.get(name, "")))
    if name == "record_without_id":
        for key in _IDS:
            middle.pop(key, None)
    elif name == "null_field":
        middle[field] = None
    elif name == "huge_record":
        middle[field] = "x" * int(wish.get("bytes", 1_000_000))
    elif name == "repeated_record":
        records.append(dict(records[0]))
    for record in records:
        if name == "extra_field":
            record[field] = wish.get("value", "surprise")
        elif name == "retyped_field":
            record[field] = wish.get("value", "n/a")
        elif name == "dropped_field":
            record.pop(field, None)


def _bend_page(inner: dict[str, Any], name: str, knob: Knob, list_key: str, cursor_key: str, own: str) -> None:
    if name == "foreign_next":
        inner[cursor_key] = str(knob.parameters.get("url", "https://attacker.example/v1/next"))
    elif name in ("cursor_loop", "fresh_cursor_loop", "empty_page"):
        inner[cursor_key] = own if name == "cursor_loop" else f"{own}.{knob.fired}"
        if name == "empty_page":
            inner[list_key] = []
