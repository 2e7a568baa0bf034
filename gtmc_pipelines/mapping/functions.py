"""The functions custom transforms may call, over plain values, each bounded in what it can produce.

    coalesce(value, record.Title, "n/a")      first that is neither null nor empty (or of one list)
    lower(value)  upper(value)  trim(value)   case and surrounding space
    concat(record.First, " ", record.Last)    texts joined, nulls left out
    split(value, "@")[1]                      parts of a text;  join(list, ", ") puts them together
    replace(value, "-", "")                   every occurrence, no patterns
    substring(value, 0, 3)                    characters from the first to before the second
    number("1234.50")  to_number("1234.50")   a number; text when a double can't hold all digits
    text(12.5)                                text of a scalar
    date("2026-01-31T10:00:00Z")              its day in UTC, 2026-01-31
    time("2026-01-31T10:00:00+0200")          its moment in UTC
    domain("https://www.Example.com/about")   example.com; of an e-mail address, the part after @
    email("Kim Berg <Kim@Example.com>")       kim@example.com
    id18("001D000000IqhSL")                   001D000000IqhSLIAZ
    is_machine("no-reply@example.com")        true;  is_role("info@example.com") true
    field(record, "Owner.Name")               the value at a path, null where any step is missing
    seconds_between(record.start, record.end) whole seconds from one ISO time to another
    participants(value)                       invitees of a meeting: name, email, is_external
    participant_email(value)                  email of its first external invitee, else of its first
    transcript_text(value)                    a transcript as text, one utterance a line
    sentiment(value)  sentiment_score(value)  mood of a transcript, -1 to 1: with method and speakers, or alone

Null in, null out (false of a question). Nothing reads a clock, a file or the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gtmc_pipelines.mapping import coerce
from gtmc_pipelines.mapping.lossless import for_expression
from gtmc_pipelines.mapping.meetings import participant_email, participants, seconds_between, transcript_text
from gtmc_pipelines.mapping.paths import dig
from gtmc_pipelines.mapping.sentiment import sentiment, sentiment_score
from gtmc_pipelines.model.addresses import plain_address
from gtmc_pipelines.model.domains import plain_domain
from gtmc_pipelines.model.machine_addresses import is_machine as is_machine_address
from gtmc_pipelines.model.machine_addresses import is_role as is_role_address
from gtmc_pipelines.model.salesforce_ids import id18 as salesforce_id18

MOST_OUTPUT = 1_000_000  # characters, per result and per record; an element of a list counts as 16
_MOST_PARTS = 10_000


def coalesce(*values: Any) -> Any:
    """The first value that is neither null nor empty text; a single list is looked through."""
    candidates = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    return next((value for value in candidates if value is not None and value != ""), None)


def lower(value: str | None) -> str | None:
    """Lower case."""
    return None if value is None else _text(value).lower()


def upper(value: str | None) -> str | None:
    """Upper case."""
    return None if value is None else _text(value).upper()


def trim(value: str | None) -> str | None:
    """Without the space around it."""
    return None if value is None else _text(value).strip()


def concat(*values: Any) -> str:
    """All texts in a row; nulls are left out."""
    return "".join(part for part in (text(value) for value in values) if part is not None)


def split(value: str | None, separator: str) -> list[str] | None:
    """The parts between separators."""
    if value is None:
        return None
    if _text(value).count(_text(separator)) >= _MOST_PARTS:
        raise ValueError("too many parts")
    return value.split(separator)


def join(values: list[Any] | None, separator: str) -> str | None:
    """Texts of a list with a separator between; nulls are left out."""
    if values is None:
        return None
    return _text(separator).join(part for part in (text(value) for value in values) if part is not None)


def replace(value: str | None, old: str, new: str) -> str | None:
    """Every occurrence of `old` replaced; an empty `old` is refused."""
    if value is None:
        return None
    if not _text(old) or _text(value).count(old) * len(_text(new)) > MOST_OUTPUT:
        raise ValueError("nothing to replace, or too much")
    return value.replace(old, new)


def substring(value: str | None, start: int, end: int | None = None) -> str | None:
    """Characters from `start` to before `end`; both inside the text or cut to it, never negative."""
    if value is None:
        return None
    if start < 0 or (end is not None and end < start):
        raise ValueError("positions out of order")
    return _text(value)[start:end]


def number(value: Any) -> Any:
    """A number from text; its own digits as text when a double can't hold them all."""
    digits = coerce.numeric_text(value if isinstance(value, str | None) else text(value), "value")
    if digits is None:
        return None
    return for_expression(coerce.parse_number(digits))


def text(value: Any) -> str | None:
    """Text of a scalar."""
    if isinstance(value, float):
        return coerce.numeric_text(coerce.parse_number(repr(value)), "value")
    return coerce.text_text(value, "value")


def date(value: str | None) -> str | None:
    """The day of an ISO time, in UTC."""
    return coerce.date_text(value, "value")


def time(value: Any) -> str | None:
    """The moment of an ISO time or of seconds since 1970, as ISO text in UTC."""
    return coerce.timestamp_text(value, "value")


def domain(value: str | None) -> str | None:
    """The domain of a web or e-mail address in plain form; null when there is none (`model.domains`)."""
    return None if value is None else plain_domain(_text(value))


def email(value: str | None) -> str | None:
    """The e-mail address in plain form; null when it is none (`model.addresses`)."""
    return None if value is None else plain_address(_text(value))


def id18(value: str | None) -> str | None:
    """The 18-character form of a Salesforce id; null when it is none."""
    return None if value is None else salesforce_id18(_text(value))


def is_machine(value: str | None) -> bool:
    """Whether an address is a program's: postmaster@, no-reply@, bounce+…@ (`model.machine_addresses`)."""
    return value is not None and is_machine_address(_text(value))


def is_role(value: str | None) -> bool:
    """Whether an address is an office's or a group's, and not of one person: info@, sales@."""
    return value is not None and is_role_address(_text(value))


def field(record: Any, path: str) -> Any:
    """The value at a dotted path, null where a step is missing."""
    return dig(record, tuple(_text(path).split(".")))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        coalesce,
        lower,
        upper,
        trim,
        concat,
        split,
        join,
        replace,
        substring,
        number,
        text,
        date,
        time,
        domain,
        email,
        id18,
        is_machine,
        is_role,
        field,
        seconds_between,
        participants,
        participant_email,
        transcript_text,
        sentiment,
        sentiment_score,
    )
} | {"to_number": number}
"""By the name expressions call them."""

LINEAR: frozenset[str] = frozenset(
    {"participants", "participant_email", "transcript_text", "sentiment", "sentiment_score"}
)
"""Functions of one list whose cost grows with its size only: called as `f(value)` they take any record's."""

ALONE: frozenset[str] = frozenset({"domain", "email", "id18"})
"""Functions of one text that nearly every record needs: called as `f(value)` they run without the interpreter."""
