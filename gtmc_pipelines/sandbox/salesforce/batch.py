"""A handful of records of one table, made column by column: the cheapest way to make many."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gtmc_pipelines.sandbox.dice import rolls
from gtmc_pipelines.sandbox.world import Company, Person

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.org import Org
    from gtmc_pipelines.sandbox.salesforce.table import Table


class Batch:
    """Records by index, in the order given. Columns are made when asked for and kept while the batch lives."""

    def __init__(self, table: Table, indices: Sequence[int]) -> None:
        self.table = table
        self.org: Org = table.org
        self.indices: Sequence[int] = indices
        self._columns: dict[str, list[Any]] = {}
        patches = table.patches
        self._patched = [(place, patches[index]) for place, index in enumerate(indices) if index in patches]

    @cached_property
    def dice(self) -> list[int]:
        """64 random bits for each record."""
        return rolls(self.table.key, self.indices)

    @cached_property
    def people(self) -> list[Person]:
        """The world's person behind each record: a contact's or lead's own."""
        person, number = self.org.world.person, self.table.person_number
        return [person(number(index)) for index in self.indices]

    @cached_property
    def companies(self) -> list[Company]:
        """The world's company behind each record."""
        company, number = self.org.world.company, self.table.company_number
        return [company(number(index)) for index in self.indices]

    def column(self, name: str) -> list[Any]:
        """Values of a field for all records, changes included. `name` as the schema spells it, or `Parent.Name`."""
        values = self._columns.get(name)
        if values is None:
            if "." in name:
                return self._columns.setdefault(name, self._parents(name))
            values = self.table.shape.by_name[name.lower()].make(self)
            if self._patched:
                values = list(values)
                for place, patch in self._patched:
                    if name in patch.values:
                        values[place] = patch.values[name]
            self._columns[name] = values
        return values

    def _parents(self, path: str) -> list[Any]:
        relationship, name = path.split(".", 1)
        lookup = next(field for field in self.table.shape.fields if field.relationship == relationship)
        parents = self.org.tables[lookup.refers_to[0]]
        numbers = [None if text is None else parents.codec.decode(text) for text in self.column(lookup.name)]
        there = sorted({number for number in numbers if number is not None and parents.exists(number)})
        found = dict(zip(there, Batch(parents, there).column(name), strict=True))
        return [None if number is None else found.get(number) for number in numbers]
