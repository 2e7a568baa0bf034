"""Answering a parsed query: pick the cheapest way to find the records, without reading more than it must."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.sandbox.salesforce.batch import Batch
from gtmc_pipelines.sandbox.salesforce.errors import ApiError, invalid_type
from gtmc_pipelines.sandbox.salesforce.fields import resolve
from gtmc_pipelines.sandbox.salesforce.predicate import checked_value, predicate_of
from gtmc_pipelines.sandbox.salesforce.soql import Comparison, Condition, Group, Order, Query
from gtmc_pipelines.sandbox.salesforce.table import Table
from gtmc_pipelines.sandbox.salesforce.view import ListedView, View, Window, WindowView

_SCAN = 2000


@dataclass(slots=True)
class Result:
    """What a query found: the records as of now, to be paged at leisure. `paths` are the columns asked for."""

    table: Table
    query: Query
    paths: tuple[str, ...]
    view: View
    with_deleted: bool
    api_version: str = ""
    total: int = field(init=False)

    def __post_init__(self) -> None:
        found = max(0, len(self.view) - self.query.offset)
        self.total = found if self.query.limit is None else min(found, self.query.limit)

    def page(self, offset: int, size: int) -> list[int]:
        """Indices of one page; a record purged, or deleted unseen, since the query began is left out."""
        indices = self.view.slice(self.query.offset + offset, min(size, self.total - offset))
        if not self.table.patches:
            return indices
        keep = self.table.exists if self.with_deleted else self.table.is_live
        return [index for index in indices if keep(index)]


async def answer(org_tables: Any, query: Query, *, with_deleted: bool) -> Result:
    """Find what a query asks for. Raises ApiError INVALID_TYPE or INVALID_FIELD."""
    table: Table | None = org_tables(query.object)
    if table is None:
        raise invalid_type(query.object)
    paths = tuple(dict.fromkeys(resolve(table, name)[0] for name in query.fields))
    if query.count not in ("", "()"):
        resolve(table, query.count)
    window, rest = _window(query.where, table)
    order = _order(query.order, table)
    view: View = WindowView(
        table,
        window,
        with_deleted=with_deleted,
        by_stamp=order is not None and order[0] == "SystemModstamp",
        falling=order is not None and order[1],
    )
    if rest or order is None:
        enough = None if query.limit is None or order is None else query.limit + query.offset
        view = ListedView(await _scan(table, view, rest, enough))
    if order is None:
        view = ListedView(_sorted(table, view.slice(0, len(view)), query.order))
    return Result(table, query, paths, view, with_deleted)


def _order(orders: Sequence[Order], table: Table) -> tuple[str, bool] | None:
    """The table's own order that does what ORDER BY wants, as (field, falling), or None: sort it."""
    named = []
    for order in orders:
        path, found = resolve(table, order.field)
        if found.compound:
            raise ApiError(400, "INVALID_FIELD", f"field '{path}' can not be sorted in a query call")
        named.append((path, order.falling))
    if not named:
        return "Id", False
    directions = {falling for _, falling in named}
    paths = [path for path, _ in named]
    if len(directions) == 1 and paths in (["Id"], ["SystemModstamp"], ["SystemModstamp", "Id"]):
        return paths[0], named[0][1]
    return None


def _window(where: Condition | None, table: Table) -> tuple[Window, list[Condition]]:
    """Split WHERE into bounds on SystemModstamp and Id, which cost nothing, and what must be looked at."""
    conditions: tuple[Condition, ...] = ()
    if where is not None:
        conditions = where.parts if isinstance(where, Group) and where.op == "and" else (where,)
    stamps: list[tuple[str, int]] = []
    numbers: list[tuple[str, int]] = []
    rest: list[Condition] = []
    for condition in conditions:
        bound = _bound(condition, table)
        if bound is None:
            rest.append(condition)
        else:
            (stamps if bound[0] == "SystemModstamp" else numbers).append(bound[1:])
    stamp_from, stamp_below = _half_open(stamps)
    index_from, index_below = _half_open(numbers)
    return Window(stamp_from, stamp_below, index_from or 0, index_below), rest


def _bound(condition: Condition, table: Table) -> tuple[str, str, int] | None:
    if not isinstance(condition, Comparison) or condition.op not in ("=", "<", "<=", ">", ">="):
        return None
    path, found = resolve(table, condition.field)
    if path not in ("SystemModstamp", "Id"):
        return None
    value = checked_value(found, condition.values[0], condition.field)
    if value is None:
        return None
    if path == "Id":
        number = table.codec.decode(value)
        return None if number is None else ("Id", condition.op, number)
    return "SystemModstamp", condition.op, value


def _half_open(bounds: Sequence[tuple[str, int]]) -> tuple[int | None, int | None]:
    lows = [value + (op == ">") for op, value in bounds if op in (">", ">=", "=")]
    highs = [value + (op != "<") for op, value in bounds if op in ("<", "<=", "=")]
    return max(lows, default=None), min(highs, default=None)


async def _scan(table: Table, view: View, conditions: Sequence[Condition], enough: int | None) -> Sequence[int]:
    found = array("q")
    tests = [predicate_of(condition, table) for condition in conditions]
    for offset in range(0, len(view), _SCAN):
        indices = view.slice(offset, _SCAN)
        batch = Batch(table, indices)
        keep = [True] * len(indices)
        for test in tests:
            keep = [one and other for one, other in zip(keep, test(batch), strict=True)]
        found.extend(index for index, wanted in zip(indices, keep, strict=True) if wanted)
        if enough is not None and len(found) >= enough:
            break
        await asyncio.sleep(0)  # other requests get their turn during a long scan
    return found


def _sorted(table: Table, indices: list[int], orders: Sequence[Order]) -> Sequence[int]:
    for order in reversed(orders):
        indices = _sorted_by(table, indices, order)
    return array("q", indices)


def _sorted_by(table: Table, indices: list[int], order: Order) -> list[int]:
    path, found = resolve(table, order.field)
    fold = found.quoted and found.type not in ("id", "reference")
    keys: dict[int, Any] = {}
    for batch in table.batches(indices):
        values = batch.column(path)
        folded = [one.lower() if one else one for one in values] if fold else values
        keys.update(zip(batch.indices, folded, strict=True))
    nulls = [index for index in indices if keys.get(index) is None]
    valued = [index for index in indices if keys.get(index) is not None]
    valued.sort(key=keys.__getitem__, reverse=order.falling)
    return nulls + valued if order.nulls_first else valued + nulls
