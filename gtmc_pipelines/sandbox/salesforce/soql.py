"""A small parser for SOQL: text in, a tree out, or MALFORMED_QUERY that says where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gtmc_pipelines.sandbox.salesforce.errors import malformed
from gtmc_pipelines.sandbox.salesforce.stamps import moment_of

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^'\\]|\\.)*')
    | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    | (?P<date>\d{4}-\d\d-\d\d)(?![\w:])
    | (?P<number>[+-]?\d+(?:\.\d+)?)(?![\w.])
    | (?P<word>[A-Za-z_][\w.]*)
    | (?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "N": "\n", "r": "\r", "R": "\r", "t": "\t", "T": "\t", "b": "\b", "f": "\f"}
_SIGNS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_CLAUSES = ("select", "from", "where", "and", "or", "not", "in", "like", "order", "by", "limit", "offset")
_KEYWORDS = frozenset((*_CLAUSES, "asc", "desc", "nulls", "first", "last"))


@dataclass(frozen=True, slots=True)
class Literal:
    """A value of a condition; `kind` is text, number, boolean, null, datetime (milliseconds) or date (ISO text)."""

    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field op values`; op is =, !=, <, <=, >, >=, in, not in or like. One value, except for the two ins."""

    field: str
    op: str
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions joined by `and` or `or`; `not` has one part."""

    op: str
    parts: tuple[Condition, ...]


Condition = Comparison | Group


@dataclass(frozen=True, slots=True)
class Order:
    """One ORDER BY item. In SOQL nulls come first unless told otherwise, falling or not."""

    field: str
    falling: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed SELECT. `count` is "" or the counted thing: `()` for COUNT(), else a field."""

    fields: tuple[str, ...]
    count: str
    object: str
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    offset: int


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int

    @property
    def word(self) -> str:
        """Lower-case word or sign, to compare with."""
        return self.text.lower() if self.kind in ("word", "sign") else ""


def parse(text: str) -> Query:
    """Parse a SELECT. Raises ApiError MALFORMED_QUERY."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._at = 0

    def _split(self) -> list[_Token]:
        tokens, place = [], 0
        end = len(self._text.rstrip())
        while place < end:
            match = _TOKEN.match(self._text, place)
            if match is None:
                bad = place + len(self._text[place:]) - len(self._text[place:].lstrip())
                raise malformed(self._text, bad, f"unexpected char: '{self._text[bad]}'")
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match.group(kind), match.start(kind)))
            place = match.end()
        return [*tokens, _Token("end", "<EOF>", len(self._text))]

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _accept(self, *words: str) -> str:
        if self._next.word in words and self._next.word:
            return self._take().word
        return ""

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise self._unexpected(f"expecting '{word}'")

    def _unexpected(self, hint: str = "") -> Exception:
        what = f"unexpected token: '{self._next.text}'" + (f", {hint}" if hint else "")
        return malformed(self._text, self._next.start, what)

    def _name(self) -> str:
        if self._next.kind != "word" or self._next.word in _KEYWORDS:
            raise self._unexpected("expecting a name")
        return self._take().text

    def query(self) -> Query:
        self._expect("select")
        fields, count = self._selection()
        self._expect("from")
        name = self._name()
        where = self._either() if self._accept("where") else None
        order: tuple[Order, ...] = ()
        if self._accept("order"):
            self._expect("by")
            order = self._orders()
        limit = self._whole() if self._accept("limit") else None
        offset = self._whole() if self._accept("offset") else 0
        if self._next.kind != "end":
            raise self._unexpected()
        return Query(fields, count, name, where, order, limit, offset)

    def _selection(self) -> tuple[tuple[str, ...], str]:
        fields: list[str] = []
        while True:
            name = self._name()
            if name.lower() == "count" and self._accept("("):
                inner = self._name() if self._next.word != ")" else "()"
                self._expect(")")
                if fields or self._next.word != "from":
                    raise self._unexpected("COUNT stands alone")
                return (), inner
            fields.append(name)
            if not self._accept(","):
                return tuple(fields), ""

    def _orders(self) -> tuple[Order, ...]:
        orders: list[Order] = []
        while True:
            field = self._name()
            falling = self._accept("asc", "desc") == "desc"
            first = True
            if self._accept("nulls"):
                place = self._accept("first", "last")
                if not place:
                    raise self._unexpected("expecting FIRST or LAST")
                first = place == "first"
            orders.append(Order(field, falling, first))
            if not self._accept(","):
                return tuple(orders)

    def _whole(self) -> int:
        if self._next.kind != "number" or not self._next.text.isdigit():
            raise self._unexpected("expecting a whole number")
        return int(self._take().text)

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._accept("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Group("or", tuple(parts))

    def _both(self) -> Condition:
        parts = [self._condition()]
        while self._accept("and"):
            parts.append(self._condition())
        return parts[0] if len(parts) == 1 else Group("and", tuple(parts))

    def _condition(self) -> Condition:
        if self._accept("not"):
            return Group("not", (self._condition(),))
        if self._accept("("):
            inner = self._either()
            self._expect(")")
            return inner
        field = self._name()
        if sign := self._accept(*_SIGNS):
            return Comparison(field, _SIGNS[sign], (self._literal(),))
        if self._accept("like"):
            return Comparison(field, "like", (self._literal(),))
        op = "not in" if self._accept("not") else "in"
        self._expect("in")
        self._expect("(")
        values = [self._literal()]
        while self._accept(","):
            values.append(self._literal())
        self._expect(")")
        return Comparison(field, op, tuple(values))

    def _literal(self) -> Literal:
        token = self._next
        if token.kind == "text":
            value: Any = re.sub(r"\\(.)", lambda one: _ESCAPES.get(one[1], one[1]), token.text[1:-1], flags=re.DOTALL)
        elif token.kind == "number":
            value = float(token.text) if "." in token.text else int(token.text)
        elif token.kind == "datetime":
            try:
                value = moment_of(token.text)
            except ValueError:
                raise malformed(self._text, token.start, f"Invalid datetime: {token.text}") from None
        elif token.kind == "date":
            value = token.text
        elif token.word in ("true", "false", "null"):
            self._take()
            return Literal("null", None) if token.word == "null" else Literal("boolean", token.word == "true")
        else:
            raise self._unexpected("expecting a value")
        self._take()
        return Literal(token.kind, value)
