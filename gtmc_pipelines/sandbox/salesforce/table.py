"""One object's records in one org: made from their index when asked for, with a patch for each one changed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gtmc_pipelines.sandbox.dice import key_of
from gtmc_pipelines.sandbox.salesforce.batch import Batch
from gtmc_pipelines.sandbox.salesforce.record_ids import IdCodec
from gtmc_pipelines.sandbox.salesforce.shape import ObjectShape
from gtmc_pipelines.sandbox.salesforce.stamps import SPAN_SECONDS, START_SECONDS

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.org import Org

LIVE_RUN = 50
"""Of the seeded records every 51st lies in the recycle bin; a table of n live ones has n // 50 more there."""


@dataclass(slots=True)
class Patch:
    """What differs from the seeded record; `entered` is the table version that first touched it."""

    entered: int
    values: dict[str, Any] = field(default_factory=dict)
    purged: bool = False

    @property
    def stamp(self) -> int:
        """SystemModstamp in milliseconds."""
        return int(self.values["SystemModstamp"])

    @property
    def deleted(self) -> bool:
        """In the recycle bin."""
        return bool(self.values["IsDeleted"])


class Table:
    """Records 0 … `base` - 1 are seeded, those from `base` on were created later (and have a patch)."""

    def __init__(
        self,
        org: Org,
        shape: ObjectShape,
        live: int,
        person_number: Callable[[int], int],
        company_number: Callable[[int], int],
    ) -> None:
        self.org, self.shape, self.live = org, shape, live
        self.hidden: frozenset[str] = frozenset()
        self.base = live + (live // LIVE_RUN if shape.recycles else 0)
        self.key = key_of(org.world.seed, org.name, "salesforce", shape.name)
        self.codec = IdCodec(shape.prefix, org.code)
        self.person_number, self.company_number = person_number, company_number
        self.patches: dict[int, Patch] = {}
        self.next_index = self.base
        self.version = 0
        self._by_stamp: list[tuple[int, int]] | None = None
        self._by_index: list[int] | None = None

    # --- seeded records by arithmetic

    def base_stamp(self, index: int) -> int:
        """SystemModstamp of a seeded record: grows with the index."""
        return (START_SECONDS + index * SPAN_SECONDS // max(1, self.base)) * 1000

    def first_at(self, stamp: int) -> int:
        """Index of the first seeded record not older than `stamp`."""
        return bisect_left(range(self.base), stamp, key=self.base_stamp)

    def base_deleted(self, index: int) -> bool:
        """Whether a seeded record began in the recycle bin."""
        return self.shape.recycles and index % (LIVE_RUN + 1) == LIVE_RUN

    def live_before(self, index: int) -> int:
        """How many seeded live records have a smaller index."""
        return index - index // (LIVE_RUN + 1) if self.shape.recycles else index

    def nth_live(self, rank: int) -> int:
        """Index of the seeded live record of this rank."""
        return rank + rank // LIVE_RUN if self.shape.recycles else rank

    # --- all records

    def exists(self, index: int) -> bool:
        """Whether there is such a record, in the recycle bin or not."""
        patch = self.patches.get(index)
        return 0 <= index < self.next_index and not (patch and patch.purged)

    def is_live(self, index: int) -> bool:
        """Whether there is such a record outside the recycle bin."""
        patch = self.patches.get(index)
        if patch is not None:
            return not (patch.purged or patch.deleted)
        return 0 <= index < self.base and not self.base_deleted(index)

    def stamp(self, index: int) -> int:
        """SystemModstamp of any record."""
        patch = self.patches.get(index)
        return self.base_stamp(index) if patch is None else patch.stamp

    def counts(self) -> tuple[int, int]:
        """Live and deleted records now."""
        live, gone = self.live, self.base - self.live
        for index, patch in self.patches.items():
            if index < self.base:
                live, gone = (live, gone - 1) if self.base_deleted(index) else (live - 1, gone)
            if not patch.purged:
                live, gone = (live, gone + 1) if patch.deleted else (live + 1, gone)
        return live, gone

    def batches(self, indices: Sequence[int], size: int = 1000) -> Iterator[Batch]:
        """The records in batches, those purged meanwhile left out."""
        for start in range(0, len(indices), size):
            part = indices[start : start + size]
            if self.patches:
                part = [index for index in part if self.exists(index)]
            yield Batch(self, part)

    # --- changes

    def write(self, index: int, values: Mapping[str, Any], *, purged: bool = False) -> None:
        """Lay values over a record. `values` must hold SystemModstamp and IsDeleted the first time."""
        patch = self.patches.get(index)
        if patch is None:
            self.version += 1
            patch = self.patches[index] = Patch(self.version)
            self.next_index = max(self.next_index, index + 1)
        patch.values.update(values)
        patch.purged = patch.purged or purged
        self._by_stamp = self._by_index = None

    def show(self, index: int, *, is_visible: bool) -> None:
        """Take a touched record from the user's sight, or give it back; it looks like one deleted for good."""
        self.patches[index].purged = not is_visible
        self._by_stamp = self._by_index = None

    def patched_by_stamp(self) -> list[tuple[int, int]]:
        """(stamp, index) of every touched, existing record, sorted."""
        if self._by_stamp is None:
            self._by_stamp = sorted((patch.stamp, index) for index, patch in self.patches.items() if not patch.purged)
        return self._by_stamp

    def patched_indices(self) -> list[int]:
        """Index of every touched record, purged ones too, sorted."""
        if self._by_index is None:
            self._by_index = sorted(self.patches)
        return self._by_index
