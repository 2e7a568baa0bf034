"""The balance sheet of a sync: every record read is accounted for exactly once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Counts:
    """Counters of one stream (or of a whole sync). All are numbers of records.

    read = created + updated + unchanged + deleted + failed + skipped. `skipped` holds records that
    were read and rightly not written: older than what is stored, a repeat within its batch, a
    deletion of something never stored, or left out for privacy.
    """

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def is_balanced(self) -> bool:
        """True when the sheet adds up."""
        return self.read == self.accounted

    @property
    def accounted(self) -> int:
        """Everything but `read`, added up."""
        return self.created + self.updated + self.unchanged + self.deleted + self.failed + self.skipped

    @property
    def changed(self) -> int:
        """Records whose canonical row was written."""
        return self.created + self.updated + self.deleted

    def as_dict(self) -> dict[str, int]:
        """Plain dictionary, for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, int]) -> Counts:
        """From a dictionary; keys it doesn't know are ignored."""
        return cls(**{f.name: int(values.get(f.name, 0)) for f in fields(cls)})
