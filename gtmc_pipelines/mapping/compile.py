"""Compiling: a mapping becomes one function from a payload's bytes to the texts of a canonical row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from gtmc_pipelines.mapping.codegen import Step, generate
from gtmc_pipelines.mapping.coerce import LONGEST_TEXT
from gtmc_pipelines.mapping.decode import decoder
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.mapping.expressions import Expression
from gtmc_pipelines.mapping.reasons import reject
from gtmc_pipelines.mapping.sentiment import method_version
from gtmc_pipelines.model.entities import ENTITIES, Entity, EntitySpec, Kind
from gtmc_pipelines.model.errors import Misuse, Reject

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

    `source` is the generated function's text, for people who want to see what runs; `reads` are the
    source fields (dotted paths) it makes the row of.
    """

    __slots__ = (
        "_fast",
        "_kinds",
        "_patient",
        "_row",
        "_sources",
        "columns",
        "entity",
        "external_id_prefix",
        "fingerprint",
        "reads",
        "source",
        "table",
    )

    def __init__(self, spec: EntitySpec, steps: list[Step], fingerprint: bytes, external_id_prefix: str = "") -> None:
        self.entity = spec.entity
        self.external_id_prefix = external_id_prefix
        self.table = spec.table
        self.columns = tuple(step.column for step in steps)
        self.fingerprint = fingerprint
        self._kinds = tuple(step.kind for step in steps)
        self._sources = tuple(step.source for step in steps)
        named = [step.expression.named for step in steps if step.expression is not None]
        self.reads = frozenset({source for source in self._sources if source}.union(*named))
        self._row, fields, self.source = generate(steps)
        self._fast, self._patient = decoder(fields)

    def texts(self, payload: bytes) -> tuple[str | None, ...]:
        """The row of one record in PostgreSQL's text forms. Raises Reject with one of `reasons.REASONS`."""
        try:
            fields = self._fast(payload)
        except _REFUSED:
            return self._checked(self._row(self._patient(payload), payload))
        row = self._row(fields, payload)
        if b"\\u0000" in payload or len(payload) > LONGEST_TEXT:
            return self._checked(row)
        return row

    def values(self, record: Mapping[str, Any] | bytes) -> dict[str, Any]:
        """The same row as Python values by column, for previews. Raises Reject as `texts` does."""
        row = self.texts(record if isinstance(record, bytes) else _payload_of(record))
        return {
            column: None if text is None else _PARSERS[kind](text)
            for column, kind, text in zip(self.columns, self._kinds, row, strict=True)
        }

    def _checked(self, row: tuple[str | None, ...]) -> tuple[str | None, ...]:
        """The row, once its texts are known to be storable: what the fast path needn't look for."""
        for text, kind, source in zip(row, self._kinds, self._sources, strict=True):
            if text is None:
                continue
            if "\x00" in text or (kind is Kind.JSON and _names_nul(text)):
                raise reject("nul_character", source)
            if len(text) > LONGEST_TEXT:
                raise reject("text_too_long", source)
            if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
                raise reject("bad_unicode", source)
        return row


def compile_mapping(
    entity: Entity, entries: Sequence[MappingEntry], stream: str, external_id_prefix: str = ""
) -> CompiledMapping:
    """Compile the entries that apply to `stream`; the others are passed over.

    `external_id_prefix` goes before the record's id to make the row's (`Stream.prefix_of` knows it).
    Columns come in the order of the entity's fields; of two entries for one target the later counts
    (`validate` refuses that). Raises Misuse for an unknown target, an expression or constant that
    can't work, and a required column that none fills: such a mapping could only reject every record.
    """
    spec = ENTITIES[entity]
    chosen = {entry.target_field: entry for entry in entries if entry.stream in (None, stream)}
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
    try:
        return CompiledMapping(spec, steps, _fingerprint(spec, steps, stream, external_id_prefix), external_id_prefix)
    except Reject as refusal:
        sentence = f"A constant does not fit its column: {refusal.sentence}"
    raise Misuse("bad_mapping", sentence, next_step="Correct it with `gtmc mappings set`.")


def _step(column: str, kind: Kind, entry: MappingEntry, is_required: bool) -> Step:
    expression = None
    if entry.transform is Transform.CUSTOM:
        expression = Expression(entry.custom_transform or "")
    return Step(column, kind, entry.source_field, entry.transform, entry.required or is_required, expression)


def _fingerprint(spec: EntitySpec, steps: Sequence[Step], stream: str, external_id_prefix: str) -> bytes:
    parts: list[Any] = [COMPILER_VERSION, spec.entity, spec.table, stream]
    if external_id_prefix:
        parts.append(external_id_prefix)
    if any(step.expression and "sentiment" in step.expression.source for step in steps):
        parts.append(method_version())
    for step in steps:
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
