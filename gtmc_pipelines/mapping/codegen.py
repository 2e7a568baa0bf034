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
from gtmc_pipelines.model.errors import Reject
from gtmc_pipelines.model.records import FailedValue

LONGEST_KEY = 500  # characters; columns that are indexed or joined on
_KEY_COLUMNS = frozenset(
    {"email", "domain", "type", "channel", "person_email", "account_domain", "currency", "converted_to"}
)

RowFunction = Callable[[Any, bytes], tuple[tuple[str | None, ...], tuple[FailedValue, ...]]]
SkipFunction = Callable[[Any, bytes], tuple[bool, tuple[FailedValue, ...]]]


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
    indent: int = 1

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
        self.lines += ["    " * self.indent + line for line in lines]

    def function(self, name: str) -> str:
        """Source of the function these lines are the body of; the next one begins empty."""
        head = ["    record = whole(payload)"] if self.needs_record else []
        source = "\n".join([f"def {name}(r, payload):", *head, "    failed = ()", *self.lines])
        self.lines, self.needs_record = [], False
        return source


@dataclass(frozen=True, slots=True)
class Generated:
    """`row` gives a record's texts and the optional values that failed, `skip` whether it is left out.

    Both take the decoded `fields` and the payload. `skip` is None when no record is left out.
    """

    row: RowFunction
    skip: SkipFunction | None
    fields: tuple[str, ...]
    source: str


def generate(steps: list[Step], skip: Step | None = None) -> Generated:
    """The functions of these steps. Raises Reject when a constant expression gives what its column can't hold.

    A required step lets its Reject out; any other leaves null behind and says so.
    """
    writer = _Writer(namespace={f"to_{kind.name.lower()}": coerce.COERCIONS[kind] for kind in Kind})
    writer.namespace.update(dig=dig, reject=reject, whole=whole_record, Reject=Reject, failure=_failure)
    for position, step in enumerate(steps):
        _write(writer, f"v{position}", step)
    writer.add(f"return ({' '.join(f'v{position},' for position in range(len(steps)))}), failed")
    source = writer.function("row")
    if skip is not None:
        _write(writer, "v", skip)
        writer.add("return v == 'true', failed")
        source += "\n\n" + writer.function("skip")
    exec(compile(source, "<mapping>", "exec"), writer.namespace)  # noqa: S102 - see the module's docstring
    return Generated(writer.namespace["row"], writer.namespace.get("skip"), tuple(writer.fields), source)


def _failure(column: str, refusal: Reject) -> FailedValue:
    return FailedValue(column, refusal.code, refusal.field)


def _write(writer: _Writer, v: str, step: Step) -> None:
    expression = step.expression
    if expression is not None and expression.is_constant:
        text = coerce.COERCIONS[step.kind](expression.evaluate(None, None, step.source), step.source)
        writer.add(f"{v} = {writer.constant('text', text)}")
        _write_bounds(writer, v, step)
    elif step.is_required:
        _write_step(writer, v, step)
    else:
        writer.add("try:")
        writer.indent += 1
        _write_step(writer, v, step)
        writer.indent -= 1
        writer.add(f"except Reject as refusal: {v}, failed = None, (*failed, failure({step.column!r}, refusal))")


def _write_step(writer: _Writer, v: str, step: Step) -> None:
    expression, source = step.expression, repr(step.source)
    _write_value(writer, v, step.source)
    if expression is not None:
        _write_expression(writer, v, expression, source, step.kind)
    elif step.kind is Kind.TEXT:
        _write_text(writer, v, step.transform, source)
    else:
        _write_scalar(writer, v, step.kind, source)
    _write_bounds(writer, v, step)


def _write_bounds(writer: _Writer, v: str, step: Step) -> None:
    source = repr(step.source)
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
