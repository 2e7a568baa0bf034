"""The parts of OData that Graph's mail speaks: select, filter by time, order, Prefer, opaque tokens."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from gtmc_pipelines.sandbox.o365.errors import GraphError, bad_request

_TERM = re.compile(r"\s*receivedDateTime\s+(ge|gt|le|lt)\s+([0-9][^\s]*)\s*", re.IGNORECASE)
_PREFERENCE = re.compile(r'\s*([A-Za-z.-]+)\s*=\s*"?([^",]*)"?\s*')
_WITHHELD = ("body", "bodypreview", "uniquebody", "attachments", "extensions")


@dataclass(frozen=True, slots=True)
class Window:
    """Bounds on the time of receipt, in milliseconds: half open."""

    low: int | None = None
    high: int | None = None

    def holds(self, received_ms: int) -> bool:
        """Whether a time is inside."""
        return (self.low is None or received_ms >= self.low) and (self.high is None or received_ms < self.high)


@dataclass(frozen=True, slots=True)
class Prefer:
    """The Prefer header: page size and kind of ids; `applied` is what the answer says of it."""

    page_size: int | None
    immutable: bool
    applied: str


def prefer_of(request: Request) -> Prefer:
    """All Prefer headers of a request taken together."""
    given = dict(_PREFERENCE.findall(",".join(request.headers.getlist("prefer"))))
    by_name = {name.lower(): value for name, value in given.items()}
    size = by_name.get("odata.maxpagesize", "")
    immutable = by_name.get("idtype", "").lower() == "immutableid"
    applied = ['IdType="ImmutableId"'] if immutable else []
    applied += [f"odata.maxpagesize={size}"] if size.isdigit() else []
    return Prefer(int(size) if size.isdigit() and int(size) else None, immutable, ", ".join(applied))


def window_of(text: str | None) -> Window:
    """The window of a `$filter`. Raises GraphError for anything but bounds on receivedDateTime."""
    low = high = None
    for part in re.split(r"\s+and\s+", text, flags=re.IGNORECASE) if text else []:
        found = _TERM.fullmatch(part)
        if found is None:
            raise GraphError(400, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes.")
        moment, operator = moment_ms(found[2]), found[1].lower()
        moment += 1_000 if operator in ("gt", "le") else 0
        if operator in ("ge", "gt"):
            low = moment
        else:
            high = moment
    return Window(low, high)


def moment_ms(text: str) -> int:
    """Unix milliseconds of an ISO time; without an offset it is UTC. Raises GraphError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"Invalid date time value '{text[:40]}'.") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def spelled(moment_in_ms: int) -> str:
    """ISO text with Z."""
    return datetime.fromtimestamp(moment_in_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def whole(text: str | None, name: str, least: int, most: int) -> int | None:
    """A whole number of the query. Raises GraphError outside its bounds."""
    if text is None:
        return None
    if not text.isdigit() or not least <= int(text) <= most:
        raise bad_request(f"Invalid value '{text[:20]}' for {name}. The value must be between {least} and {most}.")
    return int(text)


def selected(item: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The members asked for (all when none was), annotations and id always. Unknown names are refused earlier."""
    if not names:
        return dict(item)
    low = {name.lower() for name in names}
    return {name: value for name, value in item.items() if name == "id" or name[0] == "@" or name.lower() in low}


def names_of(text: str | None, known: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    """The names of a `$select`. Raises GraphError for one that the type lacks."""
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    have = {name.lower() for name in known}
    for name in names:
        if name.lower() not in have and name.lower() not in _WITHHELD:
            raise bad_request(f"Could not find a property named '{name}' on type 'microsoft.graph.{kind}'.")
    return names


def is_withheld(names: tuple[str, ...]) -> bool:
    """Whether a select names what Mail.ReadBasic.All doesn't give."""
    return any(name.lower() in _WITHHELD for name in names)


def sealed(state: Mapping[str, Any]) -> str:
    """State as an opaque token."""
    return base64.urlsafe_b64encode(json.dumps(state, separators=(",", ":")).encode()).decode().rstrip("=")


def opened(text: str) -> dict[str, Any]:
    """State of a token. Raises GraphError for one that isn't ours."""
    try:
        state = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        raise GraphError(400, "ErrorInvalidUrlQuery", "The token is malformed.") from None
    return dict(state) if isinstance(state, dict) else {}
