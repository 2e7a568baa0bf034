"""Faults inside an answer: good pages and result files with something wrong in them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from gtmc_pipelines.sandbox.knobs import Knob
from gtmc_pipelines.sandbox.vendor import Exchange

RECORD_FAULTS = {
    "record_without_id": "one record of a page has no Id (CSV: an empty one)",
    "null_field": "one record has null in `field` (default LastName)",
    "extra_field": "every record has an unknown `field` (default Surprise__c) with `value`",
    "dropped_field": "no record has `field`",
    "huge_record": "one record has `bytes` (default 1000000) of text in `field` (default Description)",
    "retyped_field": "every record has `value` (default the text n/a) in `field`",
}
PAGE_FAULTS = {
    "foreign_next": "nextRecordsUrl is `url` (default https://attacker.example/…); last pages get one too",
    "cursor_loop": "nextRecordsUrl leads to the same page again",
    "empty_page": "a page without records that has a nextRecordsUrl to the page's own records",
    "malformed_page": "the answer breaks off in the middle, with a fitting Content-Length",
}


def page(body: str, exchange: Exchange, org: str, own_link: str) -> bytes:
    """A query page with the faults that strike now; `own_link` leads to this page again."""
    struck = [(name, exchange.struck(name, org)) for name in (*RECORD_FAULTS, *PAGE_FAULTS)]
    faults = {name: knob for name, knob in struck if knob is not None}
    if not faults:
        return body.encode()
    document: dict[str, Any] = json.loads(body)
    for name, knob in faults.items():
        if name in RECORD_FAULTS:
            _bend_records(document["records"], name, knob, "Id")
        else:
            _bend_page(document, name, knob, own_link)
    exchange.entry.records = len(document["records"])
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return data[: len(data) // 2] if "malformed_page" in faults else data


def table(text: str, separator: str, line_end: str, faults: dict[str, Knob]) -> str:
    """A CSV result with faults."""
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    for name, knob in faults.items():
        if name in RECORD_FAULTS:
            _bend_records(rows, name, knob, "Id")
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, names, restval="", delimiter=separator, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    bent = out.getvalue()
    return bent[: len(bent) // 2] if "malformed_page" in faults else bent


def _bend_records(records: list[dict[str, Any]], name: str, knob: Knob, key: str) -> None:
    if not records:
        return
    wish, middle = knob.parameters, records[len(records) // 2]
    field = str(wish.get("field", _FIELDS.get(name, "")))
    if name == "record_without_id":
        if "attributes" in middle:
            middle.pop(key, None)
            middle["attributes"].pop("url", None)
        else:
            middle[key] = ""
    elif name == "null_field":
        middle[field] = None
    elif name == "huge_record":
        middle[field] = "x" * int(wish.get("bytes", 1_000_000))
    for record in records:
        if name == "extra_field":
            record[field] = wish.get("value", "surprise")
        elif name == "retyped_field":
            record[field] = wish.get("value", "n/a")
        elif name == "dropped_field":
            record.pop(field, None)


_FIELDS = {"null_field": "LastName", "extra_field": "Surprise__c", "huge_record": "Description"}


def _bend_page(document: dict[str, Any], name: str, knob: Knob, own_link: str) -> None:
    if name == "malformed_page":
        return
    document["done"] = False
    document["nextRecordsUrl"] = own_link
    if name == "foreign_next":
        document["nextRecordsUrl"] = str(knob.parameters.get("url", "https://attacker.example/services/data/next"))
    elif name == "empty_page":
        document["records"] = []
