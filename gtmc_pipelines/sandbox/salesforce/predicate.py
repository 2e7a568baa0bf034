"""Conditions over batches: which records of a batch a WHERE clause wants."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from gtmc_pipelines.sandbox.salesforce.batch import Batch
from gtmc_pipelines.sandbox.salesforce.errors import ApiError
from gtmc_pipelines.sandbox.salesforce.fields import resolve
from gtmc_pipelines.sandbox.salesforce.shape import Field
from gtmc_pipelines.sandbox.salesforce.soql import Comparison, Condition, Literal
from gtmc_pipelines.sandbox.salesforce.table import Table

Predicate = Callable[[Batch], list[bool]]

_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_KINDS = {
    "boolean": "boolean",
    "int": "number",
    "double": "number",
    "currency": "number",
    "percent": "number",
    "date": "date",
    "datetime": "datetime",
}


def predicate_of(condition: Condition, table: Table) -> Predicate:
    """Compile a condition. Raises ApiError INVALID_FIELD for unknown columns and values of the wrong type."""
    if isinstance(condition, Comparison):
        return _comparison(condition, table)
    parts = [predicate_of(part, table) for part in condition.parts]
    if condition.op == "not":
        return lambda batch: [not one for one in parts[0](batch)]
    joined = all if condition.op == "and" else any
    return lambda batch: [joined(row) for row in zip(*(part(batch) for part in parts), strict=True)]


def checked_value(field: Field, literal: Literal, name: str) -> Any:
    """The literal's value for this field, ready to compare. Raises ApiError INVALID_FIELD when the type is wrong."""
    wanted = _KINDS.get(field.type, "text")
    if literal.kind == "null":
        return None
    if field.compound or literal.kind != wanted:
        quotes = "should be enclosed in quotes" if wanted == "text" else "should not be enclosed in quotes"
        raise ApiError(
            400,
            "INVALID_FIELD",
            f"\n{name}\n^\nERROR at Row:1:Column:1\nvalue of filter criterion for field '{name}' must be of type "
            f"{field.type} and {quotes}",
        )
    if wanted == "text" and field.type not in ("id", "reference"):
        return literal.value.lower()
    return literal.value


def _comparison(condition: Comparison, table: Table) -> Predicate:
    path, field = resolve(table, condition.field)
    wanted = [checked_value(field, literal, condition.field) for literal in condition.values]
    if field.type in ("id", "reference"):
        return _by_id(condition.op, path, wanted)
    test = _test(condition.op, wanted)
    if field.quoted:
        return lambda batch: [test(None if one is None else one.lower()) for one in batch.column(path)]
    return lambda batch: [test(one) for one in batch.column(path)]


def _by_id(op: str, path: str, wanted: list[Any]) -> Predicate:
    test = _test(op, [None if one is None else str(one)[:15] for one in wanted])
    return lambda batch: [test(None if one is None else one[:15]) for one in batch.column(path)]


def _test(op: str, wanted: list[Any]) -> Callable[[Any], bool]:
    if op in ("=", "in"):
        among = frozenset(wanted)
        return lambda one: one in among
    if op in ("!=", "not in"):
        without = frozenset(wanted)
        return lambda one: one not in without
    value = wanted[0]
    if value is None:
        return lambda one: False
    if op == "like":
        pattern = re.compile(_like(str(value)), re.DOTALL)
        return lambda one: one is not None and pattern.fullmatch(one) is not None
    compare = _SIGNS[op]
    return lambda one: one is not None and compare(one, value)


def _like(pattern: str) -> str:
    parts = {"%": ".*", "_": "."}
    return "".join(parts.get(letter) or re.escape(letter) for letter in pattern)
