"""Records as bytes: JSON rows of the REST API and CSV rows of Bulk API 2.0, column by column."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring
from typing import Any

from gtmc_pipelines.sandbox.salesforce.batch import Batch
from gtmc_pipelines.sandbox.salesforce.fields import resolve
from gtmc_pipelines.sandbox.salesforce.stamps import spelled
from gtmc_pipelines.sandbox.salesforce.table import Table

SEPARATORS = {"COMMA": ",", "TAB": "\t", "PIPE": "|", "SEMICOLON": ";", "CARET": "^", "BACKQUOTE": "`"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}


def json_rows(batch: Batch, paths: Sequence[str], version: str) -> list[str]:
    """One JSON object per record, `attributes` first, parents nested."""
    base = f"/services/data/v{version}/sobjects/{batch.table.shape.name}"
    columns: list[list[str]] = [batch.table.codec.encode(batch.indices)]
    pieces = [f'{{"attributes":{{"type":"{batch.table.shape.name}","url":"{base}/%s"}}']
    for name, members in _nested(paths).items():
        pieces.append(f',"{name}":%s')
        columns.append(_parent_column(batch, members, version) if members else _json_column(batch, name))
    template = "".join(pieces) + "}"
    return [template % row for row in zip(*columns, strict=True)]


def _nested(paths: Iterable[str]) -> dict[str, list[str]]:
    """Top-level names in order, each with the paths below it (none for a field of the record itself)."""
    names: dict[str, list[str]] = {}
    for path in paths:
        head = path.split(".")[0]
        members = names.setdefault(head, [])
        if head != path:
            members.append(path)
    return names


def _json_column(batch: Batch, path: str) -> list[str]:
    kind = resolve(batch.table, path, hidden_too=True)[1].type
    values = batch.column(path)
    if kind == "boolean":
        return ["true" if value else "false" if value is not None else "null" for value in values]
    if kind == "int":
        return ["null" if value is None else str(int(value)) for value in values]
    if kind in ("double", "currency", "percent"):
        return ["null" if value is None else repr(float(value)) for value in values]
    if kind == "datetime":
        return ["null" if value is None else f'"{value}"' for value in spelled(values, "+0000")]
    if kind == "address":
        return [json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values]
    return ["null" if value is None else encode_basestring(value) for value in values]


def _parent_column(batch: Batch, paths: Sequence[str], version: str) -> list[str]:
    relationship = paths[0].split(".")[0]
    lookup = next(field for field in batch.table.shape.fields if field.relationship == relationship)
    parent = lookup.refers_to[0]
    names = ",".join(f'"{path.split(".", 1)[1]}":%s' for path in paths)
    start = f'{{"attributes":{{"type":"{parent}","url":"/services/data/v{version}/sobjects/{parent}/%s"}},'
    columns = [_json_column(batch, path) for path in paths]
    there = batch.column(f"{relationship}.Id")
    return [
        "null" if text is None else start % text + names % row + "}"
        for text, row in zip(there, zip(*columns, strict=True), strict=True)
    ]


def csv_head(paths: Iterable[str], separator: str, line_end: str) -> str:
    """The header row."""
    return separator.join(f'"{path}"' for path in paths) + line_end


def csv_rows(batch: Batch, paths: Sequence[str], separator: str, line_end: str) -> str:
    """The records as CSV lines, every value quoted, null as an empty value."""
    joint = f'"{separator}"'
    columns = [_csv_column(batch, path) for path in paths]
    return "".join([f'"{joint.join(row)}"{line_end}' for row in zip(*columns, strict=True)])


def _csv_column(batch: Batch, path: str) -> list[str]:
    kind = resolve(batch.table, path, hidden_too=True)[1].type
    values: list[Any] = batch.column(path)
    if kind == "datetime":
        return ["" if value is None else value for value in spelled(values, "Z")]
    if kind == "boolean":
        return ["" if value is None else "true" if value else "false" for value in values]
    if kind == "int":
        return ["" if value is None else str(int(value)) for value in values]
    if kind in ("double", "currency", "percent"):
        return ["" if value is None else repr(float(value)) for value in values]
    return ["" if value is None else value.replace('"', '""') if '"' in value else value for value in values]


def all_paths(table: Table) -> tuple[str, ...]:
    """Every field of an object, as describe lists them."""
    return tuple(field.name for field in table.shape.fields)


def seen_paths(table: Table) -> tuple[str, ...]:
    """Every field the connecting user may see."""
    return tuple(path for path in all_paths(table) if path not in table.hidden)
