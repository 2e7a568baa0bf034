"""What an imitated vendor provides; the server, journal, knobs and control pages know nothing more of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from gtmc_pipelines.sandbox.journal import Entry
from gtmc_pipelines.sandbox.knobs import Knob, Knobs


@dataclass(slots=True)
class Exchange:
    """One request on its way through a vendor: its journal entry and the knobs. Find it with `exchange_of`."""

    entry: Entry
    knobs: Knobs

    def served(self, records: int, org: str | None = None) -> None:
        """Note in the journal how many vendor records the answer holds, and whose."""
        self.entry.records += records
        self.entry.org = org or self.entry.org

    def struck(self, fault: str, org: str | None = None) -> Knob | None:
        """Whether this fault happens here and now (takes a chance); the knob carries its parameters."""
        if org:
            self.entry.org = org
        entry = self.entry
        knob = self.knobs.struck(fault, entry.vendor, entry.org, entry.method, entry.path)
        if knob:
            entry.faults.append(fault)
        return knob


def exchange_of(connection: HTTPConnection | Scope) -> Exchange:
    """The exchange of a Starlette request or of an ASGI scope."""
    scope = connection.scope if isinstance(connection, HTTPConnection) else connection
    exchange = scope["sandbox"]
    if not isinstance(exchange, Exchange):
        raise TypeError("this scope did not pass the sandbox's gate")
    return exchange


def base_of(request: HTTPConnection) -> str:
    """Scheme and host as the client sees them."""
    return f"{request.url.scheme}://{request.headers.get('host', '')}"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change wanted by `POST /_sandbox/mutate`.

    `action` is create, update, delete, undelete or purge; `ids` names the records, else the vendor takes
    `count` of them in its own order. `stamp_ms` (unix milliseconds) is what the vendor will claim as the
    time of change: in the past it makes a late record.
    """

    org: str
    object: str
    action: str
    count: int = 1
    ids: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    stamp_ms: int = 0


class Vendor(Protocol):
    """One imitated vendor. All state lives in the object, so that `reset` can drop it."""

    name: str
    app: ASGIApp
    orgs: tuple[str, ...]
    changed: Callable[[], None]
    """To be called when state that `dump` gives has changed by a request; the server sets it."""
    faults: Mapping[str, str]
    """Faults of its own that it asks for through `Exchange.struck`, each with one line for the docs."""
    sizes: Mapping[str, int]
    """Names it accepts in `--size` with their defaults."""
    docs: str
    """Markdown for /_sandbox/docs: endpoints imitated, what its faults take."""

    def org_of(self, connection: HTTPConnection) -> str | None:
        """Whose credentials a request carries, as far as its headers tell."""
        ...

    def trouble(self, status: int, connection: HTTPConnection) -> Response:
        """How this vendor words a 429 or 5xx."""
        ...

    def credentials(self) -> dict[str, Any]:
        """Test credentials to print at start: JSON-ready."""
        ...

    def mutate(self, mutation: Mutation) -> list[str]:
        """Change records; gives the ids changed. Raises SandboxMisuse for what can't be done."""
        ...

    def truth(self, org: str) -> dict[str, dict[str, Any]]:
        """Per object `{"live": n, "deleted": n}` of one org."""
        ...

    def live_records(self, org: str, kind: str, offset: int, limit: int | None) -> AsyncIterator[bytes]:
        """Live records as the API words them: one JSON document per line, in id order, in chunks of lines."""
        ...

    def dump(self) -> dict[str, Any]:
        """State worth keeping over a restart (mutations, grants): JSON-ready."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` gave."""
        ...

    def reset(self) -> None:
        """Back to the seeded beginning: mutations, grants, sessions and jobs forgotten."""
        ...
