"""The imitated Microsoft 365 as the sandbox knows it: routes, tokens, who may do what, changes, truth."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from gtmc_pipelines.sandbox.knobs import Knobs
from gtmc_pipelines.sandbox.o365.bend import PAGE_FAULTS, RECORD_FAULTS
from gtmc_pipelines.sandbox.o365.changes import change
from gtmc_pipelines.sandbox.o365.directory_pages import DirectoryPages
from gtmc_pipelines.sandbox.o365.docs import DOCS
from gtmc_pipelines.sandbox.o365.door import Door
from gtmc_pipelines.sandbox.o365.errors import GraphError, no_mailbox, unknown_user
from gtmc_pipelines.sandbox.o365.login import LoginPages
from gtmc_pipelines.sandbox.o365.mail import Mails
from gtmc_pipelines.sandbox.o365.mail_pages import MailPages
from gtmc_pipelines.sandbox.o365.people import People
from gtmc_pipelines.sandbox.o365.shape import message_json
from gtmc_pipelines.sandbox.o365.store import Store
from gtmc_pipelines.sandbox.o365.tokens import Tokens
from gtmc_pipelines.sandbox.options import SandboxMisuse, SandboxOptions
from gtmc_pipelines.sandbox.vendor import Mutation, exchange_of

_DAY_MS = 86_400_000
_CHUNK = 200
_USER = "/v1.0/users/{user}"
_FOLDER = _USER + "/mailFolders/{folder}"


class O365Vendor:
    """One Microsoft 365 for all tenants, a directory each."""

    name: str = "o365"
    faults: Mapping[str, str] = {
        **RECORD_FAULTS,
        **PAGE_FAULTS,
        "expired_token": "401 InvalidAuthenticationToken, and the token ends (ready-made ones live on)",
        "sync_state_lost": "410 at a delta or skip token; `code` (default SyncStateNotFound), `location`: true",
        "delta_cap": "a filtered delta round begun now ends after `items` messages",
        "withheld_refused": "403 ErrorAccessDenied when a withheld property is selected (else it is left out)",
        "mailbox_denied": "403 ErrorAccessDenied on mail calls (use `path` for one mailbox)",
        "mail_scoped": "tokens lack Mail.ReadBasic.All, and mailboxes outside `scope` (list of user ids) answer 403",
        "mailbox_refused": "mail calls answer `status` (404) with `code` (ErrorInvalidUser); `path` for one mailbox",
        "directory_denied": "403 Authorization_RequestDenied on directory calls",
        "consent_refused": "the administrator cancels at the consent page",
        "sign_in_refused": "whoever signs in says no",
        "signs_in": "`user` signs in: admin, member, guest, or a principal name",
        "id_token_bent": "`claims` changed (null: left out), aged by `seconds`, `alg` none, `key` foreign",
        "consent_elsewhere": "the consent page's answer names `directory` instead",
        "app_unknown": "the token endpoint answers AADSTS700016: no consent in this directory",
    }
    sizes: Mapping[str, int] = {
        "mailboxes": 6,
        "mailbox_messages": 60,
        "mailbox_meetings": 25,
        "mailbox_copies": 1,
    }
    docs: str = DOCS

    def __init__(self, options: SandboxOptions, knobs: Knobs) -> None:
        self._options, self._knobs = options, knobs
        self.orgs = tuple(options.tenants)
        self.redirect_uris = options.registered_redirects
        self.changed: Callable[[], None] = lambda: None
        self.app: ASGIApp = Door(self._routes())
        self.meetings = options.sizes.get("mailbox_meetings", self.sizes["mailbox_meetings"])
        self.reset()

    def reset(self) -> None:
        """Back to the beginning, which is today."""
        self.tokens = Tokens(self._options.seed, self.orgs)
        today = int(time.time() * 1000) // _DAY_MS * _DAY_MS
        self._stores = {org: self._store(org, today) for org in self.orgs}

    def _store(self, org: str, anchor_ms: int) -> Store:
        sizes = self._options.sizes
        mailboxes = max(1, sizes.get("mailboxes", self.sizes["mailboxes"]))
        people = People(org, self._options.seed, sizes, mailboxes)
        count = sizes.get("mailbox_messages", self.sizes["mailbox_messages"])
        with_copies = bool(sizes.get("mailbox_copies", self.sizes["mailbox_copies"]))
        return Store(people, Mails(people, count, anchor_ms, with_copies=with_copies))

    # --- who asks

    def store(self, org: str) -> Store:
        """Mailboxes of an org."""
        return self._stores[org]

    def people(self, org: str) -> People:
        """Users of an org."""
        return self._stores[org].people

    def org_of(self, connection: HTTPConnection) -> str | None:
        """The org of the bearer token."""
        return self.tokens.org_of(_bearer(connection))

    def authorized(self, request: Request, role: str) -> str:
        """The org whose token a request carries. Raises GraphError when it carries none, or not the role."""
        token, exchange = _bearer(request), exchange_of(request)
        org = self.tokens.org_of(token)
        if org is not None and exchange.struck("expired_token", org):
            self.tokens.end(token)
            org = None
        if org is None:
            text = "Access token is empty." if not token else "Lifetime validation failed, the token is expired."
            raise GraphError(401, "InvalidAuthenticationToken", text, {"WWW-Authenticate": "Bearer"})
        if role == "User.Read.All" and exchange.struck("directory_denied", org):
            text = "Insufficient privileges to complete the operation."
            raise GraphError(403, "Authorization_RequestDenied", text)
        exchange.entry.org = org
        return org

    def scope_of(self, org: str) -> frozenset[str] | None:
        """The users an app may read whose mail role is scoped in Exchange; None while it reads every mailbox."""
        knob = self._knobs.standing("mail_scoped", self.name, org)
        return None if knob is None else frozenset(map(str, knob.parameters.get("scope", ())))

    def mailbox_of(self, request: Request, role: str = "Mail.ReadBasic.All") -> tuple[str, int, Store]:
        """Org, mailbox and store of a mail call. Raises GraphError for a user without one."""
        org = self.authorized(request, role)
        store = self._stores[org]
        user = store.people.find(request.path_params["user"])
        if user is None or store.has_left(user.id):
            raise unknown_user(request.path_params["user"])
        if exchange_of(request).struck("mailbox_denied", org):
            raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        scope = self.scope_of(org)
        if scope is not None and user.id not in scope:
            raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if (knob := exchange_of(request).struck("mailbox_refused", org)) is not None:
            status, code = int(knob.parameters.get("status", 404)), str(knob.parameters.get("code", "ErrorInvalidUser"))
            headers = {"Retry-After": "0"} if status >= 500 else None
            raise GraphError(status, code, "The requested user or mailbox can't be served.", headers)
        if user.mailbox is None:
            raise no_mailbox()
        return org, user.mailbox, store

    def trouble(self, status: int, connection: HTTPConnection) -> Response:
        """A 429 or 5xx in Graph's words."""
        code, text = {
            429: ("ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
            503: ("serviceNotAvailable", "The service is temporarily unavailable."),
            504: ("generalException", "The gateway did not answer in time."),
        }.get(status, ("InternalServerError", "An internal server error occurred."))
        return GraphError(status, code, text).response()

    def credentials(self) -> dict[str, Any]:
        """App registration, and per org its directory, domains, and a token that needs no login."""
        return {
            "client_id": self.tokens.client_id,
            "client_secret": self.tokens.client_secret,
            "redirect_uris": list(self.redirect_uris),
            "graph_path": "/v1.0",
            "orgs": {
                org: {
                    "directory_id": self.tokens.directory_of(org),
                    "domain": store.people.domain,
                    "allowed_domains": store.people.suggested_domains,
                    "access_token": self.tokens.ready_token(org),
                }
                for org, store in self._stores.items()
            },
        }

    # --- changes and truth

    def mutate(self, mutation: Mutation) -> list[str]:
        """Change messages or users."""
        return change(self._stores[mutation.org], mutation)

    def truth(self, org: str) -> dict[str, dict[str, Any]]:
        """Live and deleted copies, users, suggested domains."""
        store = self._stores[org]
        dead = sum(1 for patch in store.patches.values() if patch.is_deleted)
        return {
            "Message": {"live": sum(1 for _ in store.copies()), "deleted": dead},
            "User": {"live": store.people.users, "deleted": 0},
            "AllowedDomain": {"live": len(store.people.suggested_domains), "deleted": 0},
        }

    async def live_records(self, org: str, kind: str, offset: int, limit: int | None) -> AsyncIterator[bytes]:
        """Live records, one JSON document a line."""
        records = list(self._records(org, kind)) if kind != "Message" else []
        store = self._stores[org]
        copies = list(store.copies()) if kind == "Message" else []
        end = (len(records) or len(copies)) if limit is None else offset + limit
        for start in range(offset, end, _CHUNK):
            upto = min(start + _CHUNK, end)
            part = records[start:upto] or [self._copy(store, copy) for copy in copies[start:upto]]
            yield "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in part).encode()
            await asyncio.sleep(0)

    def _records(self, org: str, kind: str) -> list[dict[str, Any]]:
        store = self._stores[org]
        if kind == "AllowedDomain":
            return [{"domain": domain, "own_domain": store.people.domain} for domain in store.people.suggested_domains]
        users = [store.people.user(index) for index in range(store.people.users)]
        return [store.people.user_json(user, store.users.get(user.id, {})) for user in users]

    @staticmethod
    def _copy(store: Store, copy: tuple[int, int]) -> dict[str, Any]:
        mailbox = store.people.owner(copy[0])
        user = store.people.find(mailbox.address)
        where = {"mailbox": user.id if user else "", "folder": store.folder_of(copy)}
        return {**message_json(store, copy, immutable=True), **where}

    def dump(self) -> dict[str, Any]:
        """Tokens and touched messages."""
        stores = {org: store.dump() for org, store in self._stores.items()}
        return {"tokens": self.tokens.dump(), "stores": stores}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` gave, for orgs that still have the size they had."""
        self.tokens.load(state["tokens"])
        for org, kept in state["stores"].items():
            if org not in self._stores:
                continue
            store = self._store(org, int(kept["anchor_ms"]))
            if list(kept["sizes"]) != [store.people.mailboxes, store.mails.per_mailbox]:
                raise SandboxMisuse(
                    "The state folder was written with another --size of mailboxes or mailbox_messages."
                )
            store.load(kept)
            self._stores[org] = store

    def _routes(self) -> list[BaseRoute]:
        login, mail, directory = LoginPages(self), MailPages(self), DirectoryPages(self)
        return [
            Route("/v1.0/$batch", directory.batch, methods=["POST"]),
            Route("/v1.0/users", directory.users),
            Route(_USER, directory.user),
            Route(_USER + "/calendarView", directory.calendar),
            Route(_USER + "/calendar/calendarView", directory.calendar),
            Route(_USER + "/mailFolders", mail.folders),
            Route(_FOLDER, mail.folder),
            Route(_FOLDER + "/messages/delta", mail.delta),
            Route(_FOLDER + "/messages", mail.messages),
            Route(_FOLDER + "/messages/{message}", mail.message),
            Route(_USER + "/messages", mail.messages),
            Route(_USER + "/messages/{message}", mail.message),
            Route("/common/discovery/instance", login.instances),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", login.discovery),
            Route("/{tenant}/.well-known/openid-configuration", login.discovery),
            Route("/{tenant}/discovery/v2.0/keys", login.keys),
            Route("/{tenant}/adminconsent", login.consent),
            Route("/{tenant}/v2.0/adminconsent", login.consent),
            Route("/{tenant}/oauth2/v2.0/authorize", login.sign_in.authorize),
            Route("/{tenant}/oauth2/v2.0/token", login.token, methods=["POST"]),
        ]


def _bearer(connection: HTTPConnection) -> str:
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
