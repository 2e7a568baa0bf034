"""The imitated Fathom as the sandbox's server sees it: its routes, accounts, keys, truth and state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from gtmc_pipelines.sandbox.fathom.access import Access, Caller, bearer_of
from gtmc_pipelines.sandbox.fathom.account import Account
from gtmc_pipelines.sandbox.fathom.asked import BadRequest
from gtmc_pipelines.sandbox.fathom.bend import PAGE_FAULTS, RECORD_FAULTS
from gtmc_pipelines.sandbox.fathom.changes import change
from gtmc_pipelines.sandbox.fathom.docs import DOCS
from gtmc_pipelines.sandbox.fathom.limits import LIMIT, SECONDS, Limits
from gtmc_pipelines.sandbox.fathom.meetings import ALL
from gtmc_pipelines.sandbox.fathom.oauth import OAuthPages
from gtmc_pipelines.sandbox.fathom.pages import ApiPages, Refused
from gtmc_pipelines.sandbox.knobs import Knobs
from gtmc_pipelines.sandbox.options import SandboxMisuse, SandboxOptions
from gtmc_pipelines.sandbox.vendor import Mutation, exchange_of

_API, _DOCUMENTED = "/external/v1", "/v1"
_CHUNK = 20
OBJECT = "meetings"


class FathomVendor:
    """All accounts behind one host."""

    name: str = "fathom"
    faults: Mapping[str, str] = {
        **RECORD_FAULTS,
        **PAGE_FAULTS,
        "key_refused": "401, as for a key that was withdrawn",
        "forbidden": "403",
        "shift_pages": "at a further page, `meetings` (default 1) appear at the top of the very window being read",
        "rate_window": "`limit` and `heavy_limit` requests in `seconds` (default 60, 30, 60); stays on until removed",
    }
    sizes: Mapping[str, int] = {"meetings": 25, "transcript_bytes": 4_000}
    docs: str = DOCS

    def __init__(self, options: SandboxOptions, knobs: Knobs) -> None:
        self._options, self._knobs = options, knobs
        self.orgs = tuple(options.tenants)
        self.changed: Callable[[], None] = lambda: None
        self.app: ASGIApp = Starlette(
            routes=self._routes(),
            exception_handlers={HTTPException: _no_route},
        )
        self.reset()

    def reset(self) -> None:
        """Back to the beginning."""
        sizes = {**self.sizes, **{name: size for name, size in self._options.sizes.items() if name in self.sizes}}
        self._accounts = {name: Account(self._options.seed, name, sizes) for name in self.orgs}
        self._limits = {name: Limits() for name in self.orgs}
        self._webhooks: set[tuple[str, str]] = set()
        self._hooks_made = 0
        self.access = Access(self._options.seed, self.orgs)

    # --- who asks

    def account(self, name: str) -> Account:
        """An account by name."""
        return self._accounts[name]

    def admitted(self, request: Request) -> Caller:
        """Who asks, counted against the limits. Raises Refused 401, 403 or 429."""
        caller, exchange = self._caller(request), exchange_of(request)
        if caller is None or exchange.struck("key_refused", caller.account):
            raise Refused(401, "Unauthorized")
        exchange.entry.org = caller.account
        if exchange.struck("forbidden", caller.account):
            raise Refused(403, "Forbidden")
        knob = self._knobs.standing("rate_window", self.name, caller.account)
        wish = knob.parameters if knob else {}
        fits, request.state.headers = self._limits[caller.account].take(
            is_heavy="/recordings/" in request.url.path or "include_" in request.url.query,
            limit=int(wish.get("limit", 60 if knob else LIMIT)),
            heavy_limit=int(wish.get("heavy_limit", 30 if knob else LIMIT)),
            seconds=float(wish.get("seconds", SECONDS)),
        )
        if not fits:
            raise Refused(429, "Too many requests")
        return caller

    def org_of(self, connection: HTTPConnection) -> str | None:
        """The account of the key or token a request carries."""
        caller = self._caller(connection)
        return caller.account if caller else None

    def _caller(self, connection: HTTPConnection) -> Caller | None:
        if connection.url.path.startswith(f"{_DOCUMENTED}/"):
            return self.access.holder_of(bearer_of(connection))
        return self.access.caller(connection)

    def trouble(self, status: int, connection: HTTPConnection) -> Response:
        """A 429 or 5xx in Fathom's words: there are none, but the headers tell when to come back."""
        headers = {"ratelimit-limit": "60", "ratelimit-remaining": "0", "ratelimit-reset": "2"}
        return PlainTextResponse("Unavailable", status, headers if status == 429 else None)

    def credentials(self) -> dict[str, Any]:
        """An OAuth app, and per account a key and a pair of tokens."""
        return {
            "client_id": self.access.client_id,
            "client_secret": self.access.client_secret,
            "orgs": {name: self._credentials_of(name) for name in self.orgs},
        }

    def _credentials_of(self, name: str) -> dict[str, str]:
        tokens = self.access.tokens_of(name)
        return {
            "api_key": self.access.key_of(name),
            "oauth_access_token": tokens.access,
            "oauth_refresh_token": tokens.refresh,
        }

    def add_webhook(self, account: str) -> str:
        """Note a webhook; gives its id."""
        self._hooks_made += 1
        self._webhooks.add((account, f"hook-{self._hooks_made}"))
        return f"hook-{self._hooks_made}"

    def drop_webhook(self, account: str, hook: str) -> bool:
        """Forget a webhook; False when there is none."""
        found = (account, hook) in self._webhooks
        self._webhooks.discard((account, hook))
        return found

    # --- changes and truth

    def mutate(self, mutation: Mutation) -> list[str]:
        """Change meetings."""
        if mutation.object != OBJECT:
            raise SandboxMisuse(f"fathom has no object {mutation.object!r}; there is {OBJECT}.")
        return change(self._accounts[mutation.org], mutation)

    def truth(self, org: str) -> dict[str, dict[str, Any]]:
        """Live and deleted meetings."""
        live, deleted = self._accounts[org].counts()
        return {OBJECT: {"live": live, "deleted": deleted}}

    async def live_records(self, org: str, kind: str, offset: int, limit: int | None) -> AsyncIterator[bytes]:
        """Live meetings with everything that can be asked for, by recording id."""
        account = self._accounts[org]
        numbers = sorted(account.window(None, None))[offset : None if limit is None else offset + limit]
        for start in range(0, len(numbers), _CHUNK):
            documents = [account.document(number, ALL) for number in numbers[start : start + _CHUNK]]
            yield "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in documents).encode()
            await asyncio.sleep(0)

    def dump(self) -> dict[str, Any]:
        """Tokens and changed meetings."""
        accounts = {name: account.dump() for name, account in self._accounts.items()}
        return {"access": self.access.dump(), "accounts": accounts}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up tokens, and the changes of accounts that still have the size they had."""
        self.access.load(state["access"])
        for name, account in self._accounts.items():
            kept = state["accounts"].get(name)
            if kept is None:
                continue
            if kept["total"] != account.total:
                raise SandboxMisuse("The state folder was written with another --size of meetings.")
            account.load(kept)

    def _routes(self) -> list[BaseRoute]:
        api, oauth = ApiPages(self), OAuthPages(self)
        counted: dict[str, Callable[[Request], Awaitable[Response]]] = {
            f"{_API}/meetings": api.meetings,
            f"{_API}/recordings/{{recording}}/transcript": api.transcript,
            f"{_API}/recordings/{{recording}}/summary": api.summary,
            f"{_API}/teams": api.teams,
            f"{_API}/team_members": api.team_members,
            f"{_API}/users": api.users,
            f"{_API}/meeting_types": api.meeting_types,
            f"{_DOCUMENTED}/user": api.documented_user,
            f"{_DOCUMENTED}/meetings": api.meetings,
        }
        return [
            *(Route(path, _with_limits(handler)) for path, handler in counted.items()),
            Route(f"{_API}/webhooks", _with_limits(api.webhooks), methods=["POST"]),
            Route(f"{_API}/webhooks/{{hook}}", _with_limits(api.webhook), methods=["DELETE"]),
            Route(f"{_API}/oauth2/authorize", oauth.authorize),
            Route(f"{_API}/oauth2/token", oauth.token, methods=["POST"]),
        ]


def _with_limits(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The handler, its answers carrying the RateLimit headers, refusals included."""

    async def answered(request: Request) -> Response:
        try:
            response = await handler(request)
        except BadRequest as error:
            response = PlainTextResponse(f"Bad request: {error}", 400)
        except Refused as error:
            response = PlainTextResponse(error.text, error.status)
        response.headers.update(getattr(request.state, "headers", {}))
        return response

    return answered


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse("Not found" if error.status_code == 404 else "Not allowed", error.status_code)
