"""Which source fields a mapping reads: what its entries name, and what their expressions spell out."""

from __future__ import annotations

from collections.abc import Iterable

from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.mapping.expressions import Expression


def reads_of(entry: MappingEntry) -> frozenset[str]:
    """Source fields (dotted paths) of one entry. Raises Misuse for an expression that can't be read."""
    named = {entry.source_field} - {""}
    if entry.transform is Transform.CUSTOM and entry.custom_transform:
        named |= Expression(entry.custom_transform).named
    return frozenset(named)


def tops_of(entries: Iterable[MappingEntry], stream: str | None = None) -> frozenset[str]:
    """Top-level source fields of the entries that apply to `stream` (None: of all)."""
    chosen = [entry for entry in entries if stream is None or entry.stream in (None, stream)]
    return frozenset(path.partition(".")[0] for entry in chosen for path in reads_of(entry))
