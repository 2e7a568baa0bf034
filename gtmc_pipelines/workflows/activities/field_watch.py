"""Watching a stream's source fields: a mapped one the vendor no longer shows is hidden, not empty.

Where the vendor describes its fields (`Page.fields`), one that was read and isn't any more is hidden at once. Where
it describes nothing, one is hidden that was filled in more than half of the records and now is in none of at
least 50. Hidden fields keep their stored values, and what changed meanwhile is read again when they are back; no
mapping entry, no watch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from gtmc_pipelines.mapping.compile import CompiledMapping
from gtmc_pipelines.mapping.decode import is_decodable
from gtmc_pipelines.mapping.paths import dig
from gtmc_pipelines.model.catalog import CursorKind, Stream
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Page, SourceRecord
from gtmc_pipelines.storage import stream_fields
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.kept_values import with_kept_values
from gtmc_pipelines.storage.stream_fields import SAMPLE_RECORDS, Hidden, StreamFields
from gtmc_pipelines.workflows.activities.positions import Start
from gtmc_pipelines.workflows.activities.slices import ReadBatch, SliceEnd
from gtmc_pipelines.workflows.inputs import SyncRequest

RECORDS_NEEDED = 50
MOSTLY_FILLED = 0.5
MOST_HELD_BYTES = 32 * 1024 * 1024
_NULL = b"null"
_ASKED_BY_TIME = (CursorKind.WINDOW, CursorKind.LOOKBACK)


class FieldWatch:
    """One stream of one segment. The reading thread asks `lowered` and `gathered`, the writing one the rest."""

    def __init__(
        self, database: Database, request: SyncRequest, stream: Stream, mappers: Sequence[CompiledMapping]
    ) -> None:
        self._database = database
        self._request = request
        self._stream = stream
        self._paths = tuple(sorted(frozenset().union(*(mapper.reads for mapper in mappers))))
        self._seen: frozenset[str] | None = None
        self._filled: Counter[str] = Counter()
        self._filled_in = _Filled(self._paths)
        self._read = 0
        self._sample: list[str] = []
        with database.tenant(request.tenant_id) as handle:
            self._known = self._saved = stream_fields.load(handle, request.tenant_id, request.connector_id, stream.name)

    @property
    def has_hidden(self) -> bool:
        """True when a mapped field is, or was until what changed meanwhile has been read again."""
        return bool(self._known.hidden)

    def lowered(self, start: Start, shown: Iterable[str] | None) -> Start:
        """Where a read has to begin so that what changed while a field was hidden is read again.

        `shown` are the fields the vendor shows now, None where it doesn't tell.
        """
        read = start.read
        names = None if shown is None else frozenset(shown)
        back = [
            name
            for name, hidden in self._known.hidden.items()
            if (hidden.is_back if names is None else _top(name) in names)
        ]
        if not back or read.checkpoint is not None:
            return start
        since = min(self._known.hidden[name].since for name in back)
        for name in back:
            hidden = replace(self._known.hidden[name], is_back=True, read_again=read.until)
            self._known = self._known.with_hidden(name, hidden)
        self._save()
        watermark = _moment(read.watermark)
        if read.mode is SyncMode.FULL or watermark is None or watermark <= since:
            return start
        return replace(start, read=replace(read, watermark=since.isoformat()))

    def gathered(self, steps: Iterator[ReadBatch | SliceEnd]) -> Iterator[ReadBatch | SliceEnd]:
        """The steps of all slices; the first are held back until they tell hidden from empty, or the stream ends.

        Never more than memory allows: of records so large a few are written before that is told. When the read is
        cut before, what may lack a hidden field is dropped, to be read again; the faults of slices never are.
        """
        held: list[ReadBatch | SliceEnd] = []
        held_bytes = 0
        try:
            for step in steps:
                held.append(step)
                if isinstance(step, ReadBatch) and step.page.fields is None:
                    self._count(step.page)
                    held_bytes += step.page.size
                if self._is_told(step) or held_bytes > MOST_HELD_BYTES:
                    yield from held
                    held, held_bytes = [], 0
        except GeneratorExit:
            raise
        except Exception:
            yield from [step for step in held if not self._is_in_doubt(step)]
            raise
        yield from held

    def _is_in_doubt(self, step: ReadBatch | SliceEnd) -> bool:
        """Whether a step of a read that was cut waits for what tells hidden from empty.

        An empty page too: as the last of its slice it would move the position past the records dropped before it.
        """
        return self._is_doubtful and not (isinstance(step, SliceEnd) and step.fault is not None)

    @property
    def _is_doubtful(self) -> bool:
        """Whether a field that was mostly filled is in none of the records so far, which are too few to tell."""
        hidden, shares = self._known.hidden, self._known.shares
        return 0 < self._read < RECORDS_NEEDED and any(
            shares.get(path, 0.0) > MOSTLY_FILLED and not self._filled[path] and path not in hidden
            for path in self._paths
        )

    def _is_told(self, step: ReadBatch | SliceEnd) -> bool:
        is_described = isinstance(step, ReadBatch) and step.page.fields is not None
        return is_described or not self._may_hide or self._read >= RECORDS_NEEDED

    @property
    def _may_hide(self) -> bool:
        return any(share > MOSTLY_FILLED for share in self._known.shares.values())

    def _count(self, page: Page) -> None:
        live = [record for record in page.records if not record.is_deleted]
        for record in live:
            self._filled.update(self._filled_in.names(record))
        self._read += len(live)

    def kept(self, page: Page, start: Start) -> Page:
        """The page, its records with the stored values of what is hidden."""
        self._note_records(page.records)
        shown = page.fields
        hidden = self._hidden_by_share(start) if shown is None else self._hidden_by_description(shown, start)
        if not hidden or not page.records:
            return page
        tenant = self._request.tenant_id
        return replace(page, records=with_kept_values(self._database, tenant, self._stream, page.records, hidden))

    def written(self, page: Page, start: Start) -> None:
        """A page is committed: with the last one of a read, what it has read again is no longer hidden."""
        if not page.is_last:
            return
        for name, hidden in self._known.hidden.items():
            if hidden.is_back and hidden.read_again == start.read.until:
                self._known = self._known.without_hidden(name)
        self._save()

    def close(self) -> None:
        """The stream's read ends here, or goes on in another segment: keep what was seen."""
        if self._sample:
            self._known = replace(self._known, sample=tuple(self._sample))
        if self._seen is None:
            self._look_back()
        if self._seen is None and self._read >= RECORDS_NEEDED:
            self._weigh()
        self._save()

    # --- vendors that describe their fields

    def _hidden_by_description(self, shown: frozenset[str], start: Start) -> list[str]:
        if shown != self._seen:
            self._seen = shown
            self._describe(shown, start)
        return [path for path in self._paths if _top(path) in self._known.hidden and _top(path) not in shown]

    def _describe(self, shown: frozenset[str], start: Start) -> None:
        """Compare what this read shows with what was known, and keep that before anything is written."""
        known, mapped = self._known, {_top(path) for path in self._paths}
        hidden: dict[str, Hidden] = {}
        for name in mapped & (known.offered | known.hidden.keys()):
            before = known.hidden.get(name)
            if name not in shown:
                since = before.since if before else known.seen_at or start.read.until
                hidden[name] = Hidden(since)
            elif before is not None:
                hidden[name] = replace(before, is_back=True)
        self._known = replace(known, offered=shown, hidden=hidden, seen_at=start.read.until)
        self._save()

    # --- vendors that describe nothing

    def _hidden_by_share(self, start: Start) -> list[str]:
        """Kept before anything is written: the rest of a read that is cut may be too short to tell."""
        found = [path for path in self._paths if not self._filled[path] and self._is_hidden(path)]
        for path in found:
            if path not in self._known.hidden:
                since = self._known.seen_at or start.read.until
                self._known = self._known.with_hidden(path, Hidden(since))
        self._save()
        return found

    def _is_hidden(self, path: str) -> bool:
        if path in self._known.hidden:
            return True
        return self._known.shares.get(path, 0.0) > MOSTLY_FILLED and self._read >= RECORDS_NEEDED

    def _look_back(self) -> None:
        """Hidden fields that are filled again, in however few records, or that no mapping reads any more."""
        for path in list(self._known.hidden):
            if path not in self._paths:
                self._known = self._known.without_hidden(path)
            elif self._filled[path]:
                self._known = self._come_back(self._known, path)

    def _weigh(self) -> None:
        """How filled each mapped field was, and which of them have fallen to nothing."""
        known, now = self._known, datetime.now(UTC)
        shares = {path: share for path, share in known.shares.items() if path in self._paths}
        for path in self._paths:
            filled = self._filled[path]
            if not filled and (path in known.hidden or shares.get(path, 0.0) > MOSTLY_FILLED):
                since = known.hidden[path].since if path in known.hidden else known.seen_at or now
                known = known.with_hidden(path, Hidden(since))
                continue
            shares[path] = round(filled / self._read, 4)
        self._known = replace(known, shares=shares, seen_at=now if not known.hidden else known.seen_at)

    def _come_back(self, known: StreamFields, path: str) -> StreamFields:
        """All records were read, or can't be asked for by time: nothing is left to read again."""
        if self._stream.cursor_kind not in _ASKED_BY_TIME:
            return known.without_hidden(path)
        return known.with_hidden(path, replace(known.hidden[path], is_back=True))

    def _note_records(self, records: Sequence[SourceRecord]) -> None:
        if records:
            fresh = [record.external_id for record in records[-SAMPLE_RECORDS:] if not record.is_deleted]
            self._sample = (self._sample + fresh)[-SAMPLE_RECORDS:]

    def _save(self) -> None:
        if self._known == self._saved:
            return
        with self._database.tenant(self._request.tenant_id) as handle:
            stream_fields.save(
                handle, self._request.tenant_id, self._request.connector_id, self._stream.name, self._known
            )
        self._saved = self._known


def _top(path: str) -> str:
    return path.partition(".")[0]


class _Filled:
    """Tells which of the paths hold something, without taking a record apart any further than that."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = [path for path in paths if is_decodable(_top(path))]
        tops = sorted({_top(path) for path in self._paths})
        self._members = {top: f"f{number}" for number, top in enumerate(tops)}
        shape = msgspec.defstruct(
            "Tops",
            [(member, msgspec.Raw, msgspec.Raw(_NULL)) for member in self._members.values()],
            rename={member: top for top, member in self._members.items()},
        )
        self._decoder = msgspec.json.Decoder(shape)

    def names(self, record: SourceRecord) -> list[str]:
        """The paths that hold a value; of a record the strict parser refuses all, since it tells nothing."""
        try:
            fields = self._decoder.decode(record.payload)
            return [path for path in self._paths if self._is_filled(fields, path)]
        except (msgspec.MsgspecError, RecursionError):
            return self._paths

    def _is_filled(self, fields: Any, path: str) -> bool:
        top, *rest = path.split(".")
        held: msgspec.Raw = getattr(fields, self._members[top])
        if not rest:
            return bytes(held) != _NULL
        return dig(msgspec.json.decode(held), rest) is not None


def _moment(watermark: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(watermark or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
