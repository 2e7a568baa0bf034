"""Faults inside an answer: good pages with something wrong in them."""

from __future__ import annotations

import json
from typing import Any

from gtmc_pipelines.sandbox.customerio.timeline import cursor_of
from gtmc_pipelines.sandbox.knobs import Knob
from gtmc_pipelines.sandbox.vendor import Exchange

RECORD_FAULTS = {
    "record_without_id": "one record of a page has no id (of people: no cio_id either)",
    "null_field": "one record has null in `field` (default customer_identifiers; of people the attribute first_name)",
    "extra_field": "every record has an unknown `field` (default surprise) with `value`; `fields`: so many of them",
    "dropped_field": "no record has `field`",
    "huge_record": "one record has `bytes` (default 1000000) of text in `field` (default notes)",
    "retyped_field": "every record has `value` (default the text n/a) in `field`",
    "body_in_answer": "messages carry content, headers and body although nobody asked",
    "name_on_top": "activities of type event carry their name outside `data`",
}
PAGE_FAULTS = {
    "foreign_next": "`next` is a URL: `url` (default https://attacker.example/…); last pages get one too",
    "cursor_loop": "`next` leads to the same page again",
    "empty_page": "a page without records whose `next` leads to the page's own records",
    "page_replay": "the page begins with the last records of the page served before it",
    "null_arrays": "empty lists are null",
    "wrapped": "attributes come as the specification has them: each person inside `customer`",
    "malformed_page": "the answer breaks off in the middle, with a fitting Content-Length",
}
_TOP = cursor_of(None)


def page(
    document: dict[str, Any], key: str, exchange: Exchange, org: str, *, own: str = "", last: list[Any] | None = None
) -> bytes:
    """A page with the faults that strike now; `own` is its own cursor, `last` what was served before it."""
    chances = (*RECORD_FAULTS, *PAGE_FAULTS) if document[key] else PAGE_FAULTS  # an empty page has no bad records
    struck = [(name, exchange.struck(name, org)) for name in chances]
    faults = {name: knob for name, knob in struck if knob is not None}
    if "page_replay" in faults and last:
        document[key] = [*last, *document[key]]
    for name, knob in faults.items():
        if name in RECORD_FAULTS:
            _bend_records(document[key], name, knob, key)
        else:
            _bend_page(document, key, name, knob, own or _TOP)
    exchange.served(len(document[key] or ()), org)
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return data[: len(data) // 2] if "malformed_page" in faults else data


def _bend_page(document: dict[str, Any], key: str, name: str, knob: Knob, own: str) -> None:
    if name == "wrapped":
        document[key] = [{"customer": one} if key == "customers" else one for one in document[key]]
    elif name == "null_arrays":
        document[key] = document[key] or None
    elif "next" not in document:
        return
    elif name == "foreign_next":
        document["next"] = str(knob.parameters.get("url", "https://attacker.example/v1/next"))
    elif name in ("cursor_loop", "empty_page"):
        document["next"] = own
        document[key] = [] if name == "empty_page" else document[key]


def _bend_records(records: list[dict[str, Any]], name: str, knob: Knob, key: str) -> None:
    wish, middle = knob.parameters, records[len(records) // 2]
    if name == "record_without_id":
        _lose_id(middle, key)
        return
    if name == "body_in_answer":
        for record in records if key == "messages" else ():
            record |= {"content": "<p>SECRET-BODY</p>", "headers": {"X": "SECRET-HEADER"}, "body": "SECRET-BODY"}
        return
    if name == "name_on_top":
        for record in records if key == "activities" else ():
            if record["type"] == "event":
                record["data"] = dict(record["data"])
                record["name"] = record["data"].pop("name", "")
        return
    places = [record["attributes"] if key == "customers" else record for record in records]
    field = str(wish.get("field", _DEFAULT_FIELDS.get((name, key)) or _DEFAULT_FIELDS.get((name, "")) or ""))
    _bend_fields(places, name, field, wish)


def _bend_fields(places: list[dict[str, Any]], name: str, field: str, wish: dict[str, Any]) -> None:
    middle = places[len(places) // 2]
    if name == "null_field":
        middle[field] = None
    elif name == "huge_record":
        middle[field] = "x" * int(wish.get("bytes", 1_000_000))
    for place in places:
        if name == "extra_field":
            names = [f"{field}_{number}" for number in range(int(wish.get("fields", 0)))] or [field]
            place |= dict.fromkeys(names, wish.get("value", "surprise"))
        elif name == "retyped_field":
            place[field] = wish.get("value", "n/a")
        elif name == "dropped_field":
            place.pop(field, None)


def _lose_id(record: dict[str, Any], key: str) -> None:
    if key == "customers":
        record["identifiers"] = {**record["identifiers"], "cio_id": None}
        record["attributes"].pop("cio_id", None)
    record.pop("cio_id" if key == "identifiers" else "id", None)


_DEFAULT_FIELDS = {
    ("null_field", "customers"): "first_name",
    ("null_field", ""): "customer_identifiers",
    ("extra_field", ""): "surprise",
    ("huge_record", ""): "notes",
}
