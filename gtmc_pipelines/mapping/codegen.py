"""Code generation: the entries of one stream become one straight-line Python function.

Nothing of a mapping is pasted into the source but numbers and `repr` of texts; everything else is
reached through the function's own namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.mapping import coerce
from gtmc_pipelines.mapping.decode import is_decodable, whole_record
from gtmc_pipelines.mapping.entry import Transform
from gtmc_pipelines.mapping.expressions import Expression
from gtmc_pipelines.mapping.paths import dig
from gtmc_pipelines.mapping.reasons import reject
from gtmc_pipelines.model.entities import Kind

LONGEST_KEY = 500  # characters; columns that are indexed or joined on
_KEY_COLUMNS = frozenset({"email", "domain", "type", "channel", "person_email", "account_domain", "currency"})


@dataclass(frozen=True, slots=True)
class Step:
    """What one column needs: where its value is, how it is changed, what it must become."""

    column: str
    kind: Kind
    source: str
    transform: Transform
    is_required: bool
    expression: Expression | None = None

    @property
    def is_key(self) -> bool:
        """True when the column is short by nature, and stored in indexes."""
        return self.kind is Kind.TEXT and (self.column in _KEY_COLUMNS or self.column.endswith("_id"))


@dataclass
class _Writer:
    """Collects lines, the namespace they run in, and the top-level fields they read."""

    lines: list[str] = field(default_factory=list)
    namespace: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)
    needs_record: bool = False

    def attribute(self, name: str) -> str:
        """Source of the expression that reads a top-level field."""
        if not is_decodable(name):
            self.needs_record = True
            return f"record.get({name!r})"
        return f"r.f{self.fields.setdefault(name, len(self.fields))}"

    def constant(self, prefix: str, value: Any) -> str:
        """Name under which the function finds `value`."""
        name = f"{prefix}{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def add(self, *lines: str) -> None:
        """More lines of the function's body."""
        self.lines += [f"    {line}" for line in lines]


def generate(steps: list[Step]) -> tuple[Callable[[Any, bytes], tuple[str | None, ...]], tuple[str, ...], str]:
    """The row function of (decoded fields, payload), the fields it wants decoded, and its source.

    Raises Reject when a constant expression gives what its column can't hold.
    """
    writer = _Writer(namespace={f"to_{kind.name.lower()}": coerce.COERCIONS[kind] for kind in Kind})
    writer.namespace.update(dig=dig, reject=reject, whole=whole_record)
    for position, step in enumerate(steps):
        _write(writer, f"v{position}", step)
    writer.add(f"return ({' '.join(f'v{position},' for position in range(len(steps)))})")
    head = ["    record = whole(payload)"] if writer.needs_record else []
    source = "\n".join(["def row(r, payload):", *head, *writer.lines])
    exec(compile(source, "<mapping>", "exec"), writer.namespace)  # noqa: S102 - see the module's docstring
    return writer.namespace["row"], tuple(writer.fields), source


def _write(writer: _Writer, v: str, step: Step) -> None:
    expression, source = step.expression, repr(step.source)
    if expression is not None and expression.is_constant:
        text = coerce.COERCIONS[step.kind](expression.evaluate(None, None, step.source), step.source)
        writer.add(f"{v} = {writer.constant('text', text)}")
    else:
        _write_value(writer, v, step.source)
        if expression is not None:
            _write_expression(writer, v, expression, source, step.kind)
        elif step.kind is Kind.TEXT:
            _write_text(writer, v, step.transform, source)
        else:
            _write_scalar(writer, v, step.kind, source)
    if step.is_required:
        writer.add(f"if {v} is None: raise reject('required_missing', {source})")
    if step.is_key:
        writer.add(f"if {v} is not None and len({v}) > {LONGEST_KEY}: raise reject('text_too_long', {source})")


def _write_value(writer: _Writer, v: str, path: str) -> None:
    """The value at a path; a dotted one may also be a field literally called so (flat exports)."""
    first, *rest = path.split(".")
    writer.add(f"{v} = {writer.attribute(first)}")
    if rest:
        steps = writer.constant("steps", tuple(rest))
        writer.add(f"if {v} is not None: {v} = dig({v}, {steps})")
        writer.add(f"if {v} is None: {v} = {writer.attribute(path)}")


def _write_text(writer: _Writer, v: str, transform: Transform, source: str) -> None:
    changed = {
        Transform.NONE: v,
        Transform.TRIM: f"{v}.strip()",
        Transform.LOWERCASE: f"{v}.strip().lower()",
        Transform.UPPERCASE: f"{v}.strip().upper()",
    }[transform]
    writer.add(f"if type({v}) is not str: {v} = to_text({v}, {source})")
    writer.add(f"{v} = ({changed} or None) if {v} else None")


def _write_scalar(writer: _Writer, v: str, kind: Kind, source: str) -> None:
    bounds = {Kind.INTEGER: (coerce.INT_MIN, coerce.INT_MAX), Kind.NUMERIC: (-(10**18), 10**18)}.get(kind)
    call = f"{v} = to_{kind.name.lower()}({v}, {source})"
    if bounds is None:
        writer.add(f"if {v} is not None: {call}")
        return
    writer.add(f"if type({v}) is int and {bounds[0]} <= {v} <= {bounds[1]}: {v} = str({v})")
    writer.add(f"elif {v} is not None: {call}")


def _write_expression(writer: _Writer, v: str, expression: Expression, source: str, kind: Kind) -> None:
    evaluate = writer.constant("evaluate", expression.evaluate)
    if expression.fields is None:
        record, writer.needs_record = "record", True
    else:
        items = ", ".join(f"{name!r}: {writer.attribute(name)}" for name in expression.fields)
        record = f"{{{items}}}" if items else "None"
    writer.add(f"{v} = to_{kind.name.lower()}({evaluate}({v}, {record}, {source}), {source})")
