"""Calls to Microsoft Graph: a session of one directory, its users, and pages of mail.

The HTTP session adds the app-only token, asks for a new one once on a 401 and replays once, keeps each
mailbox within its limits, and turns every refusal into `GraphRefusal` for the reader to judge.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec
import requests

from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource
from gtmc_pipelines.connectors.conversation import Conversation
from gtmc_pipelines.connectors.http import Clock, Sleep, VendorSession, utc_now
from gtmc_pipelines.connectors.json_pages import decode_page
from gtmc_pipelines.connectors.o365.addresses import directory_of, graph_url
from gtmc_pipelines.connectors.o365.errors import GraphRefusal, refusal_of
from gtmc_pipelines.connectors.o365.lanes import MAILBOX_REQUESTS, MAILBOX_SECONDS, Lanes, user_in
from gtmc_pipelines.connectors.o365.policy import Policy
from gtmc_pipelines.connectors.o365.tokens import TENANT_WIDE, TokenSource, roles_in
from gtmc_pipelines.model.addresses import host_of, plain_address
from gtmc_pipelines.model.errors import Broken, Retry
from gtmc_pipelines.vault.secret import Secret

_USERS_PAGE = 999
_USER_FIELDS = "id,mail,userPrincipalName,accountEnabled"
_GUEST = "#ext#"


class _User(msgspec.Struct):
    id: str
    mail: str | None = None
    userPrincipalName: str | None = None
    accountEnabled: bool | None = None


class _Users(msgspec.Struct, rename={"next_link": "@odata.nextLink"}):
    value: list[_User]
    next_link: str | None = None


_USERS = msgspec.json.Decoder(_Users)
_ONE_USER = msgspec.json.Decoder(_User)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A user whose mail may be read. Addresses stay in memory: `id` is what positions and logs go by."""

    id: str
    addresses: frozenset[str]
    own_domain: str


class GraphHttp(VendorSession):
    """The HTTP session of one directory."""

    def __init__(self, settings: ConnectorSettings, tokens: TokenSource, *, clock: Clock, sleep: Sleep | None) -> None:
        super().__init__("Microsoft Graph", settings, clock=clock, sleep=sleep)
        options = settings.options
        self._tokens = tokens
        self._token = Secret("")
        self._renewing = threading.Lock()
        self._lanes = Lanes(
            int(options.get("mailbox_requests") or MAILBOX_REQUESTS),
            float(options.get("mailbox_seconds") or MAILBOX_SECONDS),
            self.pause,
            self.wait_as_asked,
        )

    @property
    def token(self) -> Secret:
        """The token in use; an empty one before the first call."""
        return self._token

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send with the current token. Any refusal is raised as a GraphRefusal."""
        token = self._token or self._renewed(Secret(""))
        response = self._sent_with(token, request, kwargs)
        if response.status_code == 401:
            response = self._sent_with(self._renewed(token), request, kwargs)
        if response.status_code >= 300:
            raise refusal_of(response.status_code, response.content, self._settings.tenant_id)
        return response

    def _attempt(self, request: requests.PreparedRequest, kwargs: dict[str, Any]) -> requests.Response:
        """One attempt, within the limits of its mailbox; a wish to wait holds all of that mailbox's calls."""
        lane = self._lanes.of(request.url or "")
        with lane:
            try:
                return super()._attempt(request, kwargs)
            except Retry as fault:
                if fault.after_seconds:
                    lane.hold(fault.after_seconds)
                raise

    def _sent_with(self, token: Secret, request: requests.PreparedRequest, kwargs: dict[str, Any]) -> requests.Response:
        request.headers["Authorization"] = f"Bearer {token.reveal()}"
        return super().send(request, **kwargs)

    def _renewed(self, stale: Secret) -> Secret:
        """A token other than `stale`; several threads that ask at once get the same new one."""
        with self._renewing:
            if not self._token or self._token == stale:
                self._token = self._tokens.token(stale)
            return self._token


class O365Session(Conversation[GraphHttp]):
    """An authenticated conversation with one directory, under the tenant's lists of domains."""

    def __init__(
        self,
        credentials: CredentialSource,
        settings: ConnectorSettings,
        *,
        clock: Clock = utc_now,
        sleep: Sleep | None = None,
    ) -> None:
        stored = credentials.read()
        directory_of(settings, stored)  # not connected: said before anything is sent
        self.policy, self.base_url = Policy.of(settings.options), graph_url(settings)
        self._tokens = TokenSource(settings, stored, clock=clock, sleep=sleep)
        super().__init__(settings, GraphHttp(settings, self._tokens, clock=clock, sleep=sleep))
        self.emitted: set[bytes] = set()  # messages handed over in this session, whichever mailbox had them
        self._mailboxes: dict[str, Mailbox] = {}

    @property
    def usage(self) -> dict[str, int]:
        """Requests made (logins included) and counters such as `resyncs` and `mailboxes_skipped`."""
        usage = self.http.usage
        return {**usage, "requests": usage["requests"] + self._tokens.http.requests}

    def close(self) -> None:
        """Close connections and end any waiting."""
        self._tokens.close()
        self.http.close()

    @property
    def mail_access(self) -> str:
        """How the app reads mail, by its token's roles: `tenant-wide`, `scoped` (a role in Exchange) or `unknown`."""
        roles = roles_in(self.http.token)
        return "unknown" if roles is None else "tenant-wide" if roles & TENANT_WIDE else "scoped"

    def count(self, gauge: str) -> None:
        """Add one to a counter of `usage`."""
        self.http.gauges[gauge] = self.http.gauges.get(gauge, 0) + 1

    def mailboxes(self) -> list[Mailbox]:
        """Users of the directory who may have a mailbox, guests left out, by id."""
        with_disabled = bool(self.settings.options.get("include_disabled_accounts"))
        found: dict[str, Mailbox] = {}
        for user in self._users():
            name = (user.userPrincipalName or "").lower()
            if _GUEST not in name and (user.accountEnabled is not False or with_disabled):
                found[user.id] = _mailbox(user)
        self._mailboxes = dict(sorted(found.items()))
        return list(self._mailboxes.values())

    def everybody(self) -> list[str]:
        """Ids of all users of the directory, those included whose mail is not read."""
        return [user.id for user in self._users()]

    def mailbox(self, key: str) -> Mailbox:
        """The mailbox of a slice. Asks for it when it wasn't enumerated in this session."""
        if key not in self._mailboxes:
            body = self.get(f"{self.user_url(key)}?{urlencode({'$select': _USER_FIELDS}, safe='$,')}")
            return _mailbox(decode_page(body, _ONE_USER, "Microsoft Graph"))
        return self._mailboxes[key]

    def policy_for(self, mailbox: Mailbox) -> Policy:
        """The lists, with the domains of the directory's own users as own ones."""
        return self.policy.with_own({mailbox.own_domain, *(each.own_domain for each in self._mailboxes.values())})

    def get(self, url: str, page_size: int = 0) -> bytes:
        """A body. Mail calls give their page size, and always ask for immutable ids. Raises GraphRefusal."""
        prefer = 'IdType="ImmutableId"' + (f", odata.maxpagesize={page_size}" if page_size else "")
        return self.http.get(url, headers={"Prefer": prefer, "Accept": "application/json"}).content

    def user_url(self, key: str) -> str:
        """Address of a user."""
        return f"{self.base_url}/users/{quote(key, safe='')}"

    def has_message(self, key: str, message_id: str) -> bool:
        """Whether a message is still anywhere in a mailbox: an immutable id survives a move."""
        try:
            self.get(f"{self.user_url(key)}/messages/{quote(message_id, safe='')}?$select=id", 1)
        except GraphRefusal as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    def checked_link(self, link: str, mailbox: str = "") -> str:
        """`link` when it stays at this Graph (and in this mailbox). Raises Broken `foreign_next_link`."""
        parts, base = urlsplit(link), urlsplit(self.base_url)
        path = unquote(parts.path)
        is_ours = (parts.scheme, parts.netloc.lower()) == (base.scheme, base.netloc.lower())
        is_users = is_ours and ".." not in path and path.startswith(f"{base.path}/users")
        is_mail = self._is_of(user_in(link), mailbox) and "/messages" in path
        if is_users and (is_mail or not mailbox):
            return link
        raise Broken(
            "foreign_next_link",
            "Microsoft Graph's next-page link leads elsewhere than to this mailbox, and is not followed.",
            next_step="Report this; nothing behind that link was read.",
        )

    def _is_of(self, user: str, mailbox: str) -> bool:
        """Whether a link's user is this mailbox: by its id, as `id@directory`, or by an address of its own."""
        known = self._mailboxes.get(mailbox)
        return user.partition("@")[0] == mailbox.lower() or (known is not None and user in known.addresses)

    def _users(self) -> Iterator[_User]:
        url, seen = f"{self.base_url}/users?$select={_USER_FIELDS}&$top={_USERS_PAGE}", set()
        while url:
            seen.add(url)
            answer = decode_page(self.get(url), _USERS, "Microsoft Graph")
            yield from answer.value
            url = self.checked_link(answer.next_link) if answer.next_link else ""
            if url in seen:
                raise loop()


def loop() -> Broken:
    """The error for pages that lead back to one already read."""
    return Broken(
        "cursor_loop",
        "Microsoft Graph's pages lead back to one already read, so the read was stopped.",
        next_step="Sync again; if it stays, report the time of the sync.",
    )


def _mailbox(user: _User) -> Mailbox:
    addresses = (plain_address(text or "") for text in (user.userPrincipalName, user.mail))
    return Mailbox(user.id, frozenset(filter(None, addresses)), host_of(user.userPrincipalName or "") or "")
