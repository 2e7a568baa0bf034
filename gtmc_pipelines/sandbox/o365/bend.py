"""Faults inside an answer: good pages with something wrong in them, and content that nobody asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from gtmc_pipelines.sandbox.knobs import Knob
from gtmc_pipelines.sandbox.vendor import Exchange

RECORD_FAULTS = {
    "leak_body": "each message carries `fields` (default subject and bodyPreview) although they were not selected; "
    "with `only`: true just one",
    "record_without_id": "one message of a page has no id",
    "null_field": "one message has null in `field` (default sentDateTime)",
    "extra_field": "every message has an unknown `field` (default surprise) with `value`",
    "dropped_field": "no message has `field` (or any of `fields`)",
    "huge_record": "one message has `bytes` (default 1000000) of text in `field` (default surprise)",
    "retyped_field": "every message has `value` (default the number 7) in `field`",
    "duplicate_item": "the first message of a page comes again at its end",
}
PAGE_FAULTS = {
    "foreign_next": "@odata.nextLink is `url` (default https://attacker.example/…); last pages get one too",
    "cursor_loop": "@odata.nextLink leads to the same page again",
    "empty_page": "a page without messages that has an @odata.nextLink to the page's own messages",
    "malformed_page": "the answer breaks off in the middle, with a fitting Content-Length",
}
_FIELDS = {"null_field": "sentDateTime", "extra_field": "surprise", "huge_record": "surprise"}
Leak = Callable[[int, str], Any]
"""Content of the n-th message of a page by name."""


def page(document: dict[str, Any], exchange: Exchange, org: str, own_link: str, leak: Leak, chosen: int) -> Response:
    """A page of messages with the faults that strike now.

    `own_link` leads to this page again; `chosen` is the message that faults of one message strike.
    """
    names = (*RECORD_FAULTS, *PAGE_FAULTS) if exchange.knobs.any_on else ()
    struck = {name: knob for name in names if (knob := exchange.struck(name, org)) is not None}
    for name, knob in struck.items():
        if name in RECORD_FAULTS:
            _bend_messages(document["value"], name, knob, leak, chosen)
        else:
            _bend_page(document, name, knob, own_link)
    exchange.entry.records = len(document["value"])
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    data = data[: len(data) // 2] if "malformed_page" in struck else data
    return Response(data, media_type="application/json; odata.metadata=minimal; charset=utf-8")


def _bend_messages(messages: list[dict[str, Any]], name: str, knob: Knob, leak: Leak, chosen: int) -> None:
    if not messages:
        return
    wish, middle = knob.parameters, min(chosen, len(messages) - 1)
    field = str(wish.get("field", _FIELDS.get(name, "")))
    if name == "leak_body":
        for place, message in enumerate(messages):
            if place == middle or not wish.get("only"):
                message.update({each: leak(place, each) for each in wish.get("fields", ("subject", "bodyPreview"))})
    elif name == "record_without_id":
        messages[middle].pop("id", None)
    elif name == "null_field":
        messages[middle][field] = None
    elif name == "huge_record":
        messages[middle][field] = "x" * int(wish.get("bytes", 1_000_000))
    elif name == "duplicate_item":
        messages.append(dict(messages[0]))
    else:
        _bend_each(messages, name, field, wish)


def _bend_each(messages: list[dict[str, Any]], name: str, field: str, wish: Mapping[str, Any]) -> None:
    for message in messages:
        if name == "extra_field":
            message[field] = wish.get("value", "surprise")
        elif name == "retyped_field":
            message[field] = wish.get("value", 7)
        elif name == "dropped_field":
            for each in wish.get("fields", (field,)):
                message.pop(each, None)


def _bend_page(document: dict[str, Any], name: str, knob: Knob, own_link: str) -> None:
    if name == "malformed_page":
        return
    document.pop("@odata.deltaLink", None)
    document["@odata.nextLink"] = own_link
    if name == "foreign_next":
        document["@odata.nextLink"] = str(knob.parameters.get("url", "https://attacker.example/v1.0/users/next"))
    elif name == "empty_page":
        document["value"] = []
