"""Records and pages: what a connector hands over, and what a mapping makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from gtmc_pipelines.model.phases import SyncMode


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One record as the vendor delivered it.

    `payload` is a JSON object in UTF-8, the vendor's own bytes less transport noise (never decoded
    and encoded again where that could lose digits). `source_updated_at` is the vendor's change time,
    aware, or None where it has none. `is_shared`: other slices of the stream may hold the same record.
    """

    external_id: str
    payload: bytes
    source_updated_at: datetime | None
    is_deleted: bool = False
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that can't even be landed: no id, not an object, not UTF-8. `detail` holds no data of it."""

    external_id: str | None
    reason_code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a complete full read says about what it didn't see: gone, as far back as `since` (None: everything).

    `tells` is False when absence from the answer means nothing.
    """

    since: datetime | None = None
    tells: bool = True


EVERYTHING = Coverage()
NOTHING = Coverage(tells=False)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of one stream (or slice).

    `checkpoint` lets the same read go on right after this page; it is stored in the transaction
    that writes the page. On the last page it is None and `watermark` says where the next
    incremental sync starts. `skipped` counts records the connector read and rightly left out. `fields`
    names the source fields its records have, or would have if they were filled; None where the vendor
    doesn't tell.
    `covers`, on the last page of a full read, is what that read says about records it didn't see.
    """

    records: Sequence[SourceRecord]
    checkpoint: str | None
    watermark: str | None = None
    rejects: Sequence[RejectedRecord] = ()
    skipped: int = 0
    fields: frozenset[str] | None = None
    covers: Coverage = EVERYTHING

    @property
    def is_last(self) -> bool:
        """True when the read is complete with this page."""
        return self.checkpoint is None

    @property
    def size(self) -> int:
        """Bytes of payload, by which batches are bounded."""
        return sum(len(record.payload) for record in self.records)

    @property
    def read(self) -> int:
        """How many records of the vendor this page accounts for."""
        return len(self.records) + len(self.rejects) + self.skipped


@dataclass(frozen=True, slots=True)
class ReadFrom:
    """Where a read of a stream starts and where it must stop.

    `until` is the upper bound, fixed before the first call and the same for every attempt of a
    sync. `watermark` is where the last complete read ended (None: everything). `checkpoint`, when
    given, comes from a page of this very read and wins over the watermark.
    """

    mode: SyncMode
    until: datetime
    watermark: str | None = None
    checkpoint: str | None = None
    slice: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a sliced stream with a cursor of its own: a mailbox. `key` holds no personal data."""

    key: str
    label: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Unseen:
    """A stored record that a complete full read didn't see, and its change time."""

    external_id: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    """What the vendor has after all of records a full read didn't see, asked for by id.

    `records` as they are now (deleted ones too); `present` are ids it has but gives no record of.
    """

    records: Sequence[SourceRecord] = ()
    present: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Census:
    """What a vendor has of a stream now, or a page of it, for a comparison with what is stored.

    With `ids` these are the records that should be live here, else `count` says how many there are. `names` are
    the ids of all that exist at the vendor, where those are more. Stored records are compared that are of
    `slice` (empty: all) and that `time_member` (a payload's member; empty: the record's change time) puts into
    [since, until); a bound that is None is open. `is_log`: stored ones the vendor doesn't serve any more are fine.
    """

    scope: str
    count: int = 0
    ids: Sequence[str] | None = None
    names: Sequence[str] | None = None
    slice: str = ""
    since: datetime | None = None
    until: datetime | None = None
    time_member: str = ""
    is_log: bool = False


@dataclass(frozen=True, slots=True)
class SourceField:
    """A field a vendor offers, for mapping screens and drift checks.

    The value of a calculated one changes without its record's change time: formulas, roll-ups.
    """

    name: str
    label: str
    type: str
    is_required: bool = False
    is_custom: bool = False
    is_calculated: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """Answer of a cheap liveness probe. `url` is what was called, `detail` one sentence for people.

    `accounts` are the vendor's ids of what the credentials lead to (workspaces, an organization), where it tells them.
    """

    is_healthy: bool
    url: str
    detail: str
    facts: Mapping[str, str] = field(default_factory=dict)
    accounts: tuple[str, ...] = ()


class FailedValue(NamedTuple):
    """An optional value that couldn't become its column's: canonical column, reason, source field; never the value.

    `column` is `skip` when it is the question whether to leave the record out that had no answer.
    """

    column: str
    reason_code: str
    field: str


MappedRow = tuple[Sequence[str | None] | None, Sequence[FailedValue]]
"""A record's texts in the order of its mapper's columns, None when the mapping leaves the record out; and the
optional values that failed, whose columns are null."""


class RowMapper(Protocol):
    """A mapping compiled for one stream and one entity.

    `columns` are the canonical columns it fills; `read` gives their values in that order, each in
    PostgreSQL's text form (ISO time in UTC, plain decimals, `true`/`false`, JSON text) or None, and
    raises Reject when the record can't become a row. `external_id_prefix` goes before the record's id to
    make the row's (mostly empty). `fingerprint` changes whenever the same payload
    could give another row, so that a stored hash covers the mapping too.
    """

    @property
    def table(self) -> str:
        """Canonical table it writes."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Canonical columns it fills, in the order of `texts`."""
        ...

    @property
    def fingerprint(self) -> bytes:
        """Stands for mapping and code together."""
        ...

    @property
    def external_id_prefix(self) -> str:
        """Goes before the record's id; mostly empty."""
        ...

    @property
    def required(self) -> frozenset[str]:
        """Columns without which there is no row."""
        ...

    @property
    def is_selective(self) -> bool:
        """True when some records may be left out."""
        ...

    def read(self, payload: bytes) -> MappedRow:
        """A record's values, or None for one that is left out. Raises Reject."""
        ...

    def texts(self, payload: bytes) -> Sequence[str | None]:
        """The same values also of a record that is left out. Raises Reject."""
        ...
