"""Signing in at a directory: the address to open, and the code that comes back exchanged for a checked signer."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from gtmc_pipelines.connectors.contract import ConnectorSettings
from gtmc_pipelines.connectors.error_rules import parsed
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.o365 import id_token
from gtmc_pipelines.connectors.o365.addresses import app_secret, login_url
from gtmc_pipelines.connectors.o365.errors import login_fault_of
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.model.errors import Misuse, Reauthorize
from gtmc_pipelines.vault.secret import Secret

ANYWHERE = "organizations"
"""The authority of all work accounts; `common` would let personal ones in."""

_SCOPE = "openid profile"
_HINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
_PERSON = re.compile(r"[!-?A-~]{1,200}@[A-Za-z0-9.-]{1,253}")


def authority_of(login_hint: str) -> str:
    """The directory a hint names (domain, directory id, or the domain of a user name). Raises Misuse."""
    authority = login_hint.rpartition("@")[2] or ANYWHERE
    if not _HINT.fullmatch(authority):
        raise Misuse("bad_login_hint", "The login hint names no directory.", next_step="Give its domain or id.")
    return authority


def address(settings: ConnectorSettings, redirect_uri: str, state: str, pkce: Pkce, login_hint: str) -> str:
    """Where the administrator signs in: at the directory's own authority, if the hint names one."""
    authority = authority_of(login_hint)
    values = {
        "client_id": app_secret(settings, "client_id").reveal(),
        "response_type": "code",
        "response_mode": "query",
        "redirect_uri": redirect_uri,
        "scope": _SCOPE,
        "state": state,
        "nonce": pkce.nonce,
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }
    if _PERSON.fullmatch(login_hint):
        values["login_hint"] = login_hint
    return f"{login_url(settings)}/{authority}/oauth2/v2.0/authorize?{urlencode(values)}"


def signer_of(
    settings: ConnectorSettings, code: Secret, redirect_uri: str, pkce: Pkce, login_hint: str
) -> id_token.Signer:
    """Whom the code proves to have signed in, by a token of that directory. Raises by the login's refusal."""
    authority, base = authority_of(login_hint), login_url(settings)
    form = {
        "grant_type": "authorization_code",
        "client_id": app_secret(settings, "client_id").reveal(),
        "client_secret": app_secret(settings, "client_secret").reveal(),
        "code": code.reveal(),
        "redirect_uri": redirect_uri,
        "code_verifier": pkce.verifier.reveal(),
        "scope": _SCOPE,
    }
    with VendorSession("Microsoft's login", settings) as http:
        answer = _object(http.post(f"{base}/{authority}/oauth2/v2.0/token", data=form).content)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _fault(answer, settings.tenant_id)
        directory = id_token.directory_named_in(token)
        keys = _object(http.get(f"{base}/{directory}/discovery/v2.0/keys").content)
    audience = app_secret(settings, "client_id").reveal()
    return id_token.checked(token, keys, login_url=base, audience=audience, nonce=pkce.nonce)


def _object(body: bytes) -> dict[str, Any]:
    found = parsed(body)
    return found if isinstance(found, dict) else {}


def _fault(answer: dict[str, Any], tenant: str) -> Exception:
    if answer.get("error") == "invalid_grant":
        return Reauthorize(
            "code_refused",
            "Microsoft's login refused the code that came back: it is used up, too old, or another login's.",
            next_step=f"Start again: gtmc connectors connect --tenant {tenant} --connector o365.",
        )
    return login_fault_of(answer, tenant)
