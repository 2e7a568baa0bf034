"""Tries what the guard in front of Dagster's webserver must refuse (gtmc_pipelines/defs/guard.py), over real HTTP."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from dataclasses import dataclass, field

_FOREIGN = "page.invalid"
_HARMLESS = json.dumps({"query": "{ __typename }"})
_MUTATION = "/graphql?query=mutation%20%7B%20__typename%20%7D"  # one that changes nothing where it is run
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class _Attempt:
    what: str
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None


_ATTEMPTS = (
    _Attempt("mutations by GET", "GET", _MUTATION),
    _Attempt("mutations as plain text", "POST", _MUTATION, {"Content-Type": "text/plain"}, "x"),
    _Attempt("calls of other pages", "POST", "/graphql", {**_JSON, "Origin": f"http://{_FOREIGN}"}, _HARMLESS),
    _Attempt("calls under other names", "POST", "/graphql", {**_JSON, "Host": _FOREIGN}, _HARMLESS),
)


def unguarded(port: int, host: str = "127.0.0.1") -> list[str]:
    """What the webserver there lets pass and the guard would have refused; empty behind the guard."""
    return [attempt.what for attempt in _ATTEMPTS if _status(port, host, attempt) != http.client.FORBIDDEN]


def _status(port: int, host: str, attempt: _Attempt) -> int | None:
    with closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
        try:
            connection.request(attempt.method, attempt.path, attempt.body, attempt.headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
