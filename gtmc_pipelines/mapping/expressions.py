"""Custom transforms: expressions of the Common Expression Language over `value` and `record`.

A closed language: no loops but one `map`, `filter`, `exists` or `all`, no regular expressions, no
clock; `mapping.functions` lists what can be called. `record.Field` is null where the record lacks
the field, unless the expression asks with `has(record.Field)`: then absent stays absent.
Whatever goes wrong in an evaluation is Reject('custom_transform'), and nothing of the record shows.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import thread_time
from typing import Any

import cel

from gtmc_pipelines.mapping.functions import ALONE, FUNCTIONS, LINEAR, MOST_OUTPUT
from gtmc_pipelines.mapping.lossless import Budget, for_expression, from_expression, size_of
from gtmc_pipelines.mapping.reasons import reject
from gtmc_pipelines.model.cpu_budget import SPENT, current
from gtmc_pipelines.model.errors import Misuse, Reject

LONGEST_EXPRESSION = 4_000
LONGEST_WITH_MACRO = 500
_MOST_REFERENCES, _MOST_REFERENCES_WITH_MACRO = 64, 8
MOST_SECONDS = 0.5
"""Of processor time for one record: no function is called after it."""
_TEXT_WITH_MACRO, _LIST_WITH_MACRO = 16_384, 200

_OUTPUT_IN_LOOPS, _LIST_IN_LOOPS = 50_000, 500  # a loop copies what it has gathered at every turn

_STRING_OR_COMMENT = re.compile(
    r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|(?P<comment>//[^\n]*)", re.S
)
_PREFIXED_STRING = re.compile(r"[rRbB]''")
_MACRO = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one)\s*\(\s*([A-Za-z_]\w*)")
_RECORD = re.compile(r"(?<![\w.])record\b(?:\s*\.\s*([A-Za-z_]\w*)(?!\s*\(|\w))?")
_REFERENCE = re.compile(r"(?<![\w.])(?:record|value)\b")
_CALL_OF_VALUE = re.compile(r"\s*([a-z_]+)\s*\(\s*value\s*\)\s*")
_POSITION = re.compile(r"<input>:\d+:(\d+)")
_NATIVE = frozenset(
    {"size", "contains", "startsWith", "endsWith", "string", "int", "uint", "double", "timestamp", "type", "dyn"}
    | {"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getHours", "getMinutes", "getSeconds"}
)
_TYPES = frozenset({"string", "int", "uint", "double", "bool", "list", "map", "null_type"})  # as in type(value) == int
_OPERATOR = re.compile(r"@\w+|[^A-Za-z]+")
_WRONG_VALUE = (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError, ArithmeticError, Reject)


class Expression:
    """A compiled custom transform; safe to share between threads.

    `fields` are the top-level fields of the record it reads: empty for none, None for the whole
    record; `named` are those it spells out. `is_constant` ones read nothing, and give the same for
    every record.
    """

    __slots__ = ("_direct", "_limits", "_program", "fields", "is_constant", "named", "source", "uses_value")

    def __init__(self, source: str) -> None:
        _check_size(source)
        self._program = _compiled(source)
        bare = _bare(source)
        macro = _check_macro(source, bare)
        # Texts that are joined are copied again at each "+": the more references, the less each may bring.
        most = MOST_OUTPUT // max(1, len(_REFERENCE.findall(bare)))
        self._limits = (min(most, _TEXT_WITH_MACRO), _LIST_WITH_MACRO) if macro else (most, 100_000)
        _check_names(self._program, macro)
        call = _CALL_OF_VALUE.fullmatch(source)
        self._direct = FUNCTIONS[call[1]] if call and call[1] in LINEAR | ALONE else None
        names = {"value", "record"}.intersection(self._program.variables())
        self.source = source
        self.uses_value = "value" in names
        self.named = frozenset(match.group(1) for match in _RECORD.finditer(bare) if match.group(1))
        self.fields = _fields(bare) if "record" in names else ()
        self.is_constant = not names

    def evaluate(self, value: Any, record: Mapping[str, Any] | None, field: str) -> Any:
        """The result for one record, as coercions take it.

        Raises Reject('custom_transform', field), or `mapping_too_slow` when the batch's budget is spent.
        """
        budget = None if self.is_direct else current()
        if budget is None:
            return self._evaluated(value, record, field)
        if budget.is_spent:
            raise reject(SPENT, field)
        start = thread_time()
        try:
            return self._evaluated(value, record, field)
        finally:
            budget.spend(thread_time() - start)

    @property
    def is_direct(self) -> bool:
        """True when it is one call of `value` whose cost grows with the value's size only."""
        return self._direct is not None

    @property
    def limits(self) -> tuple[int, int]:
        """Characters and elements of a list that it takes of a record."""
        return self._limits

    def _evaluated(self, value: Any, record: Mapping[str, Any] | None, field: str) -> Any:
        result, is_done = None, False
        with suppress(*_WRONG_VALUE):  # each of them means the same: rejected below
            if self._direct is not None:
                result, is_done = from_expression(self._direct(value), Budget(MOST_OUTPUT, 0)), True
            else:
                result, is_done = self._executed(value, record)
        if not is_done:
            raise reject("custom_transform", field)
        if _holds_nul(result):
            raise reject("nul_character", field)
        return result

    def _executed(self, value: Any, record: Mapping[str, Any] | None) -> tuple[Any, bool]:
        """The result, and whether every function called was content."""
        evaluator = _evaluator()
        evaluator.failed = False
        budget = Budget(*self._limits)
        is_loop = self._limits[1] == _LIST_WITH_MACRO
        evaluator.output, evaluator.longest = (
            (_OUTPUT_IN_LOOPS, _LIST_IN_LOOPS) if is_loop else (MOST_OUTPUT, MOST_OUTPUT)
        )
        evaluator.until = thread_time() + MOST_SECONDS
        if self.uses_value:
            evaluator.context.add_variable("value", for_expression(value, budget))
        if self.fields != ():
            evaluator.context.add_variable("record", for_expression(record, budget))
        result = from_expression(self._program.execute(evaluator.context), Budget(MOST_OUTPUT, 0))
        return result, not evaluator.failed


class _Evaluator:
    """One per thread: the context with the functions, which fail by a flag.

    The library logs what a function raises, with its text; ours raise nothing into it.
    """

    def __init__(self) -> None:
        self.failed = False
        self.output = self.longest = 0
        self.until = 0.0
        self.context = cel.Context({}, {name: self._guarded(function) for name, function in FUNCTIONS.items()})

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.failed = self.failed or thread_time() > self.until
            try:
                result = None if self.failed else function(*arguments)
            except _WRONG_VALUE:
                self.failed = True
                return None
            self.output -= size_of(result)  # lists too: "+" copies them anew each time
            is_long = isinstance(result, list) and len(result) > self.longest
            self.failed = self.failed or self.output < 0 or is_long
            return None if self.failed else result

        return call


_local = threading.local()


def _evaluator() -> _Evaluator:
    evaluator: _Evaluator | None = getattr(_local, "evaluator", None)
    if evaluator is None:
        evaluator = _local.evaluator = _Evaluator()
    return evaluator


def _holds_nul(value: Any) -> bool:
    """True when any text in a result holds NUL (surrogates can't come out of the language)."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, dict) and any(_holds_nul(key) or _holds_nul(item) for key, item in value.items())


def _bad(sentence: str) -> Misuse:
    return Misuse("bad_expression", sentence, next_step="Correct the expression; `gtmc mappings preview` tries it.")


def _bare(source: str) -> str:
    """The expression without what stands inside quotes or comments."""
    bare = _STRING_OR_COMMENT.sub(lambda match: " " if match.group("comment") else "''", source)
    if _PREFIXED_STRING.search(bare):
        raise _bad("Raw and byte strings are not part of the language.")
    return bare


def _check_size(source: str) -> None:
    if len(source) > LONGEST_EXPRESSION:
        raise _bad(f"The expression is longer than {LONGEST_EXPRESSION} characters.")
    if not source.strip():
        raise _bad("The expression is empty.")
    if not source.isprintable() and any(not (c.isprintable() or c in "\n\t\r") for c in source):
        raise _bad("The expression holds control characters or broken Unicode.")


def _compiled(source: str) -> Any:
    try:
        return cel.compile(source)
    except (ValueError, RuntimeError, RecursionError) as error:
        position = _POSITION.search(str(error))
    where = f" at character {position.group(1)}" if position else ""
    raise _bad(f"The expression can't be read{where}.")


def _check_macro(source: str, bare: str) -> str | None:
    """Name of the variable the one allowed macro binds, or None without one."""
    bound = _MACRO.findall(bare)
    most = _MOST_REFERENCES_WITH_MACRO if bound else _MOST_REFERENCES
    if len(bound) > 1 or (bound and len(source) > LONGEST_WITH_MACRO):
        raise _bad(
            f"One map, filter, exists or all is allowed, in an expression of at most {LONGEST_WITH_MACRO} characters."
        )
    if len(_REFERENCE.findall(bare)) > most:
        raise _bad(f"The expression names value and record more than {most} times.")
    if bound and bound[0] in ("value", "record"):
        raise _bad(f"The loop variable can't be called {bound[0]}.")
    return bound[0] if bound else None


def _check_names(program: Any, bound: str | None) -> None:
    unknown = set(program.variables()) - {"value", "record", bound} - _TYPES
    if unknown:
        raise _bad(f"The expression knows value and record, not {', '.join(sorted(unknown))}.")
    called = {name for name in program.functions() if not _OPERATOR.fullmatch(name)}
    unknown = called - _NATIVE - set(FUNCTIONS)
    if unknown:
        raise _bad(f"No such function: {', '.join(sorted(unknown))}. There are: {', '.join(sorted(FUNCTIONS))}.")


def _fields(bare: str) -> tuple[str, ...] | None:
    """Top-level fields of the record an expression reads; None when it takes the record as a whole."""
    names = [match.group(1) for match in _RECORD.finditer(bare)]
    if re.search(r"\bhas\s*\(", bare) or any(name is None for name in names):
        return None
    return tuple(dict.fromkeys(names))
