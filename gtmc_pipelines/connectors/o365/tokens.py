"""App-only tokens by msal over our own HTTP session: one for all sessions that a directory has open in this process.

Access tokens are kept in memory only, as long as one of these sessions is open.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msal
import requests

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials
from gtmc_pipelines.connectors.error_rules import parsed
from gtmc_pipelines.connectors.host_guard import refused
from gtmc_pipelines.connectors.http import Clock, Sleep, VendorSession, utc_now
from gtmc_pipelines.connectors.o365.addresses import GRAPH_HOSTS, app_secret, directory_of, graph_url, login_url
from gtmc_pipelines.connectors.o365.errors import login_fault_of
from gtmc_pipelines.connectors.vendor_numbers import token_seconds
from gtmc_pipelines.model.errors import Broken, GtmcError, Reauthorize
from gtmc_pipelines.vault.secret import Secret

logging.getLogger("msal").setLevel(logging.CRITICAL)  # it logs answers of the token endpoint

_NONE = Secret("")
_LIVES = ("expires_in", "ext_expires_in", "refresh_in")

TENANT_WIDE = frozenset({"Mail.ReadBasic.All", "Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"})
"""Roles in a token that open every mailbox; an app scoped in Exchange has none of them in Entra."""


_Key = tuple[str, ...]


class _Shared:
    """What all sessions of a directory share: msal's cache, the newest token, the last refusal, whose turn it is."""

    def __init__(self) -> None:
        self.sessions = 0
        self.turn = threading.Lock()
        self.cache = msal.TokenCache()
        self.newest = _NONE
        self.refusals = 0
        self.refusal = Reauthorize("", "")


_open: dict[_Key, _Shared] = {}
_opening = threading.Lock()


class TokenSource:
    """App-only tokens of one directory, for one session. Close it when done."""

    def __init__(
        self,
        settings: ConnectorSettings,
        credentials: Credentials,
        *,
        clock: Clock = utc_now,
        sleep: Sleep | None = None,
    ) -> None:
        self._settings = settings
        self.http = VendorSession("Microsoft's login", settings, clock=clock, sleep=sleep)
        parts = urlsplit(login_url(settings))
        if parts.scheme == "http":  # only the sandbox gets that far; msal wants https
            self.http.serve_plainly(parts.netloc)
        self._authority = f"https://{parts.netloc}/{directory_of(settings, credentials)}"
        self._key: _Key | None = _key_of(settings, self._authority)
        self._shared = _joined(self._key)
        self._app: Any = None

    def token(self, stale: Secret = _NONE) -> Secret:
        """A token other than `stale`: one that another session has, else asked for. Raises by the login's refusal.

        Of callers that ask at once, one asks the vendor; the others wait and get what it got, or its Reauthorize.
        """
        shared = self._shared
        refusals = shared.refusals
        with shared.turn:
            if shared.refusals != refusals:
                told = shared.refusal
                raise Reauthorize(told.code, told.sentence, next_step=told.next_step)
            try:
                shared.newest = self._asked(is_stale=stale == shared.newest)
            except Reauthorize as refusal:
                shared.refusals, shared.refusal = refusals + 1, refusal
                raise
            return shared.newest

    def close(self) -> None:
        """Close connections; with the last open session of the directory its token is forgotten."""
        self.http.close()
        if self._key is not None:
            _left(self._key)
            self._key = None

    def _asked(self, *, is_stale: bool) -> Secret:
        try:
            app = self._application()
            if is_stale:
                app.remove_tokens_for_client()
            answer = app.acquire_token_for_client(scopes=[self._scope])
        except GtmcError:
            raise
        except (ValueError, KeyError, requests.RequestException):  # msal's words may hold the answer
            raise Broken(
                "bad_token_answer",
                "Microsoft's login answered outside its contract.",
                next_step="Check O365_LOGIN_URL.",
            ) from None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise login_fault_of(answer or {}, self._settings.tenant_id)
        return Secret(token)

    @property
    def _scope(self) -> str:
        """`.default` of the real Graph of this cloud; the sandbox goes by the name of the world-wide one."""
        parts = urlsplit(graph_url(self._settings))
        host = parts.hostname if parts.hostname in GRAPH_HOSTS else "graph.microsoft.com"
        return f"https://{host}/.default"

    def _application(self) -> Any:
        if self._app is None:
            self._app = msal.ConfidentialClientApplication(
                app_secret(self._settings, "client_id").reveal(),
                client_credential=app_secret(self._settings, "client_secret").reveal(),
                authority=self._authority,
                token_cache=self._shared.cache,
                instance_discovery=False,  # hosts are pinned by login_url
                http_client=_MsalHttp(self.http, self._authority),
            )
        return self._app


def roles_in(token: Secret) -> frozenset[str] | None:
    """The application permissions a token was given; None when it can't be read: to clients it is opaque.

    Good for telling people what was granted, for nothing else: nobody has checked the signature.
    """
    try:
        part = token.reveal().split(".")[1]
        claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        roles = claims.get("roles") or []
        return frozenset(role for role in roles if isinstance(role, str))
    except (IndexError, ValueError, AttributeError, TypeError):
        return None


class _MsalHttp:
    """The `http_client` msal wants, over our session: host guard, time-outs and the sandbox's CA apply.

    msal's first question, the discovery document, is answered here: where tokens come from is known, and
    our secret goes there whatever a document might say.
    """

    def __init__(self, http: VendorSession, authority: str) -> None:
        self._http, self._authority = http, authority
        self._token_endpoint = f"{authority}/oauth2/v2.0/token"

    def get(self, url: str, **_: Any) -> _Discovery:
        """The discovery document of our authority. Raises Broken for anything else."""
        if not url.startswith(f"{self._authority}/"):
            raise refused(urlsplit(url).hostname or "", "it is not the login host")
        return _Discovery(self._authority, self._token_endpoint)

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> requests.Response:
        """Ask for a token. Raises Broken for any other place."""
        if url != self._token_endpoint:
            raise refused(urlsplit(url).hostname or "", "tokens come from the login host only")
        return _with_bounded_lives(self._http.post(url, params=params, data=data, headers=headers))

    def close(self) -> None:
        """Close connections."""
        self._http.close()


def _with_bounded_lives(answer: requests.Response) -> requests.Response:
    """The answer with lives of tokens that can be: msal computes with whatever stands there."""
    document = parsed(answer.content)
    if isinstance(document, dict) and "access_token" in document:
        lives = {name: token_seconds(document[name]) for name in _LIVES if name in document}
        document.pop("expires_on", None)
        answer._content = json.dumps({**document, "expires_in": token_seconds(None), **lives}).encode()
    return answer


class _Discovery:
    """What msal reads of an answer."""

    status_code = 200
    headers: Mapping[str, str] = {}

    def __init__(self, authority: str, token_endpoint: str) -> None:
        document = {
            "issuer": f"{authority}/v2.0",
            "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
            "token_endpoint": token_endpoint,
        }
        self.text = json.dumps(document)

    def raise_for_status(self) -> None:
        """Nothing is wrong with it."""


def _key_of(settings: ConnectorSettings, authority: str) -> _Key:
    """Tenant, directory and app, its secret as a digest: a changed one has a cache of its own."""
    secret = hashlib.sha256(app_secret(settings, "client_secret").reveal().encode()).hexdigest()
    return (settings.tenant_id, authority, app_secret(settings, "client_id").reveal(), secret)


def _joined(key: _Key) -> _Shared:
    with _opening:
        shared = _open.setdefault(key, _Shared())
        shared.sessions += 1
        return shared


def _left(key: _Key) -> None:
    """The last session to leave takes the tokens with it."""
    with _opening:
        _open[key].sessions -= 1
        if not _open[key].sessions:
            del _open[key]
