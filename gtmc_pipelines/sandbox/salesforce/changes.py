"""Changing records as the org's own users would: create, update, delete, undelete, purge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gtmc_pipelines.sandbox.options import SandboxMisuse
from gtmc_pipelines.sandbox.salesforce.batch import Batch
from gtmc_pipelines.sandbox.salesforce.shape import Field
from gtmc_pipelines.sandbox.salesforce.stamps import moment_of
from gtmc_pipelines.sandbox.salesforce.table import Table
from gtmc_pipelines.sandbox.vendor import Mutation

HIDDEN = "Hidden"
"""A wish for an update, not a field: sharing takes records from the connected user's sight, or gives them back."""

_STRIDE = 7919
_OF_THE_SYSTEM = ("SystemModstamp", "LastModifiedDate", "CreatedDate")


def change(table: Table, mutation: Mutation) -> list[str]:
    """Carry a mutation out; gives the ids changed. Raises SandboxMisuse when it can't be done in full."""
    if set(mutation.fields) == {HIDDEN} and mutation.action == "update":
        return _hide(table, mutation)
    fields = {name: _value(table, name, value) for name, value in mutation.fields.items()}
    if mutation.action == "create":
        chosen = list(range(table.next_index, table.next_index + mutation.count))
    elif mutation.ids:
        chosen = [_number(table, text) for text in mutation.ids]
    else:
        chosen = _some(table, mutation)
    for turn, index in enumerate(chosen):
        _write(table, index, turn, mutation, fields)
    return table.codec.encode(chosen)


def _write(table: Table, index: int, turn: int, mutation: Mutation, fields: dict[str, Any]) -> None:
    stamp = mutation.stamp_ms // 1000 * 1000  # Salesforce's stamps have whole seconds
    values: dict[str, Any] = {
        "SystemModstamp": stamp,
        "LastModifiedDate": stamp,
        "IsDeleted": not table.is_live(index),
    }
    if mutation.action == "create":
        values |= {"CreatedDate": stamp, "IsDeleted": False, **fields}
    elif mutation.action == "update":
        if not table.is_live(index):
            raise SandboxMisuse("A record in the recycle bin can't be updated: undelete it first.")
        values |= fields or _touched(table, index, turn)
    else:
        values |= {"IsDeleted": mutation.action != "undelete", **fields}
    if "CreatedDate" not in values and index not in table.patches:
        values["CreatedDate"] = Batch(table, [index]).column("CreatedDate")[0]  # it must not move with the stamp
    table.write(index, values, purged=mutation.action == "purge")


def _hide(table: Table, mutation: Mutation) -> list[str]:
    """No stamp of a record moves when sharing does, and no feed tells of it."""
    if mutation.ids:
        decoded = [table.codec.decode(text) for text in mutation.ids]
        chosen = [index for index in decoded if index is not None and index < table.next_index]
    else:
        chosen = _some(table, mutation)
    for index in chosen:
        if index not in table.patches:
            batch = Batch(table, [index])
            values = {name: batch.column(name)[0] for name in _OF_THE_SYSTEM}
            table.write(index, values | {"IsDeleted": not table.is_live(index)})
        table.show(index, is_visible=not mutation.fields[HIDDEN])
    return table.codec.encode(chosen)


def _touched(table: Table, index: int, turn: int) -> dict[str, Any]:
    """A change of the object's own favourite field that is sure to differ from what is there."""
    name, pool = table.shape.touch
    now = Batch(table, [index]).column(name)[0]
    return {name: next(value for value in pool[turn % len(pool) :] + pool if value != now)}


def _number(table: Table, text: str) -> int:
    number = table.codec.decode(text)
    if number is None or not table.exists(number):
        raise SandboxMisuse(f"There is no {table.shape.name} {text!r} in this org.")
    return number


def _some(table: Table, mutation: Mutation) -> list[int]:
    """As many records as wanted, spread over the table, others at each mutation."""
    wanted: Callable[[int], bool] = table.is_live
    if mutation.action in ("undelete", "purge"):
        wanted = _in_bin(table)
    chosen: list[int] = []
    for index in _walk(table):
        if len(chosen) == mutation.count:
            break
        if wanted(index):
            chosen.append(index)
    if len(chosen) < mutation.count:
        raise SandboxMisuse(f"Only {len(chosen)} {table.shape.name} records are there to {mutation.action}.")
    return chosen


def _in_bin(table: Table) -> Callable[[int], bool]:
    return lambda index: table.exists(index) and not table.is_live(index)


def _walk(table: Table) -> Iterator[int]:
    total = table.next_index
    start = (table.version * _STRIDE) % max(1, total)
    yield from range(start, total)
    yield from range(start)


def _value(table: Table, name: str, value: Any) -> Any:
    field = table.shape.find(name)
    if field is None or field.name != name:
        raise SandboxMisuse(f"{table.shape.name} has no field {name!r}.")
    if field.compound or name in ("Id", "IsDeleted"):
        raise SandboxMisuse(f"{name} can't be set: change its parts, or use another action.")
    if value is None or isinstance(value, _TYPES.get(field.type, str)):
        return _converted(field, value)
    raise SandboxMisuse(f"{name} is of type {field.type}.")


_TYPES: dict[str, Any] = {
    "boolean": bool,
    "int": int,
    "double": (int, float),
    "currency": (int, float),
    "percent": (int, float),
}


def _converted(field: Field, value: Any) -> Any:
    if field.type != "datetime" or value is None:
        return value
    try:
        return moment_of(value)
    except ValueError:
        raise SandboxMisuse(f"{field.name} must be an ISO time with a zone.") from None
