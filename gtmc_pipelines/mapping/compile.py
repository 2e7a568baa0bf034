"""Compiling: a mapping becomes one function from a payload's bytes to the texts of a canonical row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from gtmc_pipelines.mapping.codegen import SkipFunction, Step, generate
from gtmc_pipelines.mapping.coerce import LONGEST_TEXT
from gtmc_pipelines.mapping.decode import decoder
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.mapping.expressions import Expression
from gtmc_pipelines.mapping.reasons import reject
from gtmc_pipelines.mapping.sentiment import method_version
from gtmc_pipelines.model.cpu_budget import SPENT
from gtmc_pipelines.model.entities import ENTITIES, SKIP, Entity, EntitySpec, Kind
from gtmc_pipelines.model.errors import Misuse, Reject
from gtmc_pipelines.model.records import FailedValue, MappedRow
from gtmc_pipelines.model.unreadable import fault_of

COMPILER_VERSION = 2
"""Raise it whenever the same payload and entries would give another row."""

_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_PARSERS: dict[Kind, Callable[[str], Any]] = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.NUMERIC: Decimal,
    Kind.BOOLEAN: "true".__eq__,
    Kind.TIMESTAMP: datetime.fromisoformat,
    Kind.DATE: date.fromisoformat,
    Kind.JSON: lambda text: json.loads(text, parse_float=Decimal),
}


class CompiledMapping:
    """A RowMapper for one entity and one stream. Pure, and safe to share between threads.

    `required` are the columns without which there is no row; `is_selective` when some records may be left
    out. `source` is the text of the generated functions, for people who want to see what runs; `reads` are
    the source fields (dotted paths) it makes the row of.
    """

    __slots__ = (
        "_fast",
        "_kinds",
        "_patient",
        "_row",
        "_skip",
        "_sources",
        "columns",
        "entity",
        "external_id_prefix",
        "fingerprint",
        "is_selective",
        "reads",
        "required",
        "source",
        "table",
    )

    def __init__(
        self,
        spec: EntitySpec,
        steps: list[Step],
        fingerprint: bytes,
        external_id_prefix: str = "",
        skip: Step | None = None,
    ) -> None:
        self.entity = spec.entity
        self.external_id_prefix = external_id_prefix
        self.table = spec.table
        self.columns = tuple(step.column for step in steps)
        self.fingerprint = fingerprint
        self._kinds = tuple(step.kind for step in steps)
        self._sources = tuple(step.source for step in steps)
        asked = [*steps, skip] if skip is not None else steps
        named = [step.expression.named for step in asked if step.expression is not None]
        self.reads = frozenset({step.source for step in asked if step.source}.union(*named))
        self.required = frozenset(step.column for step in steps if step.is_required)
        self.is_selective = skip is not None
        generated = generate(steps, skip)
        self._row, self._skip, self.source = generated.row, generated.skip, generated.source
        self._fast, self._patient = decoder(generated.fields)

    def read(self, payload: bytes) -> MappedRow:
        """The row of one record in PostgreSQL's text forms, None when the mapping leaves it out.

        Beside it the optional values that couldn't be read: their columns are null. Raises Reject with one
        of `reasons.REASONS` for a record that can't become a row.
        """
        return self._mapped(payload, self._skip)

    def texts(self, payload: bytes) -> tuple[str | None, ...]:
        """The same row, also of a record that is left out. Raises Reject as `read` does."""
        row, _ = self._mapped(payload, None)
        assert row is not None
        return row

    def values(self, record: Mapping[str, Any] | bytes) -> dict[str, Any]:
        """The row as Python values by column, for previews. Raises Reject as `read` does."""
        return self.parsed(self.texts(record if isinstance(record, bytes) else _payload_of(record)))

    def parsed(self, texts: Sequence[str | None]) -> dict[str, Any]:
        """What `read` gives, as Python values by column."""
        return {
            column: None if text is None else _PARSERS[kind](text)
            for column, kind, text in zip(self.columns, self._kinds, texts, strict=True)
        }

    def _mapped(
        self, payload: bytes, skip: SkipFunction | None
    ) -> tuple[tuple[str | None, ...] | None, tuple[FailedValue, ...]]:
        fault = fault_of(payload)
        if fault is not None:
            raise reject(fault)
        try:
            fields, is_odd = self._fast(payload), False
        except _REFUSED:
            fields, is_odd = self._patient(payload), True
        unsure: tuple[FailedValue, ...] = ()
        if skip is not None:
            is_left_out, unsure = skip(fields, payload)
            if is_left_out:
                return None, ()
        row, failed = self._row(fields, payload)
        for value in unsure + failed if unsure or failed else ():
            if value.reason_code == SPENT:  # no answer is not an empty one: the row stays as it was
                raise reject(SPENT, value.field)
        if is_odd or b"\\u0000" in payload or len(payload) > LONGEST_TEXT:
            row, failed = self._checked(row, failed)
        return row, unsure + failed if unsure else failed

    def _checked(
        self, row: tuple[str | None, ...], failed: tuple[FailedValue, ...]
    ) -> tuple[tuple[str | None, ...], tuple[FailedValue, ...]]:
        """The row, its texts known to be storable: what the fast path needn't look for. Raises Reject."""
        texts = list(row)
        for position, (column, kind, source) in enumerate(zip(self.columns, self._kinds, self._sources, strict=True)):
            text = texts[position]
            code = None if text is None else _unstorable(text, kind)
            if code is None:
                continue
            if column in self.required:
                raise reject(code, source)
            texts[position] = None
            failed = (*failed, FailedValue(column, code, source))
        return tuple(texts), failed


def _unstorable(text: str, kind: Kind) -> str | None:
    """Why PostgreSQL would refuse a text; None when it takes it."""
    if "\x00" in text or (kind is Kind.JSON and _names_nul(text)):
        return "nul_character"
    if len(text) > LONGEST_TEXT:
        return "text_too_long"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "bad_unicode"
    return None


def compile_mapping(
    entity: Entity, entries: Sequence[MappingEntry], stream: str, external_id_prefix: str = ""
) -> CompiledMapping:
    """Compile the entries that apply to `stream`; the others are passed over.

    `external_id_prefix` goes before the record's id to make the row's (`Stream.prefix_of` knows it).
    An entry for `skip` says which records are left out. Columns come in the order of the entity's fields;
    of two entries for one target the later counts (`validate` refuses that). Raises Misuse for an unknown
    target, an expression or constant that can't work, and a required column that none fills: such a mapping
    could only reject every record.
    """
    spec = ENTITIES[entity]
    chosen = {entry.target_field: entry for entry in entries if entry.stream in (None, stream)}
    out = chosen.pop(SKIP.target, None)
    unknown = [target for target in chosen if spec.field(target) is None]
    missing = [field.target for field in spec.fields if field.is_required and field.target not in chosen]
    if unknown or missing:
        names = ", ".join(repr(name) for name in unknown or missing)
        problem = f"has no field {names}" if unknown else f"needs {names}, which no entry fills for stream {stream!r}"
        raise Misuse("bad_mapping", f"The entity {entity} {problem}.", next_step="Correct it with `gtmc mappings set`.")
    steps = [
        _step(field.column, field.kind, chosen[field.target], field.is_required)
        for field in spec.fields
        if field.target in chosen
    ]
    skip = None if out is None else _step(SKIP.column, SKIP.kind, replace(out, required=False), False)
    fingerprint = _fingerprint(spec, steps, skip, stream, external_id_prefix)
    try:
        return CompiledMapping(spec, steps, fingerprint, external_id_prefix, skip)
    except Reject as refusal:
        sentence = f"A constant does not fit its column: {refusal.sentence}"
    raise Misuse("bad_mapping", sentence, next_step="Correct it with `gtmc mappings set`.")


def _step(column: str, kind: Kind, entry: MappingEntry, is_required: bool) -> Step:
    expression = None
    if entry.transform is Transform.CUSTOM:
        expression = Expression(entry.custom_transform or "")
    return Step(column, kind, entry.source_field, entry.transform, entry.required or is_required, expression)


def _fingerprint(
    spec: EntitySpec, steps: Sequence[Step], skip: Step | None, stream: str, external_id_prefix: str
) -> bytes:
    parts: list[Any] = [COMPILER_VERSION, spec.entity, spec.table, stream]
    if external_id_prefix:
        parts.append(external_id_prefix)
    if any(step.expression and "sentiment" in step.expression.source for step in steps):
        parts.append(method_version())
    for step in [*steps, skip] if skip is not None else steps:
        expression = step.expression.source if step.expression else None
        parts.append([step.column, step.kind, step.source, step.transform, step.is_required, expression])
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).digest()


def _payload_of(record: Mapping[str, Any]) -> bytes:
    try:
        return _ENCODER.encode(record)
    except UnicodeEncodeError:
        raise reject("bad_unicode") from None
    except RecursionError:
        raise reject("too_deep") from None
    except (TypeError, ValueError, OverflowError):
        raise reject("not_json") from None


def _names_nul(text: str) -> bool:
    """True when a JSON text holds the escape of NUL itself, and not a backslash followed by `u0000`."""
    return "\\u0000" in text.replace("\\\\", "")
