"""Signing in at the imitated login host: authorization code flow with PKCE, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from gtmc_pipelines.sandbox.dice import token
from gtmc_pipelines.sandbox.o365.errors import LoginError
from gtmc_pipelines.sandbox.o365.id_tokens import LIFE_SECONDS, IdTokens
from gtmc_pipelines.sandbox.o365.people import People, User
from gtmc_pipelines.sandbox.o365.redirects import back, choice, is_registered, page
from gtmc_pipelines.sandbox.vendor import base_of, exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.o365.vendor import O365Vendor

CODE_SECONDS = 600.0
MOST_CODES = 1_000
ANY = ("organizations", "common")


@dataclass(frozen=True, slots=True)
class _Code:
    """What an authorization code stands for."""

    org: str
    tenant: str  # as the address named it
    user: User
    redirect_uri: str
    challenge: str
    nonce: str
    until: float


class SignIn:
    """The endpoint `authorize`, and `authorization_code` of the endpoint `token`."""

    def __init__(self, vendor: O365Vendor) -> None:
        self._vendor = vendor
        self._codes: dict[str, _Code | None] = {}
        self.id_tokens = IdTokens()

    async def authorize(self, request: Request) -> Response:
        """Sign somebody in at once: whom `login_hint` names, else the administrator of the directory in the path."""
        asked, tokens = request.query_params, self._vendor.tokens
        if asked.get("client_id") != tokens.client_id:
            return page("AADSTS700016: Application was not found in the directory.", 400)
        redirect_uri, state = asked.get("redirect_uri", ""), asked.get("state")
        if not is_registered(redirect_uri, self._vendor.redirect_uris):
            return page("AADSTS50011: The redirect URI does not match the ones registered for the application.", 400)
        tenant = request.path_params["tenant"]
        org = tokens.org_named(tenant)
        if org is None and tenant not in ANY:
            return page(f"AADSTS90002: Tenant '{tenant[:60]}' not found.", 400)
        if fault := _fault_in(request):
            return back(redirect_uri, state, {"error": "invalid_request", "error_description": fault})
        if org is None:
            return choice(request, self._vendor.orgs)
        if exchange_of(request).struck("sign_in_refused", org):
            denied = "AADSTS65004: User declined to consent to access the app."
            return back(redirect_uri, state, {"error": "access_denied", "error_description": denied})
        knob = exchange_of(request).struck("signs_in", org)
        hint = str(knob.parameters.get("user", "")) if knob else asked.get("login_hint", "")
        user = _user_of(self._vendor.people(org), hint)
        if user is None:
            return page(f"AADSTS50020: User account '{escape(hint[:60])}' does not exist in the directory.", 400)
        exchange_of(request).served(0, org)
        code = f"1.{token(60, org, time.time_ns(), len(self._codes))}"
        until = time.time() + CODE_SECONDS
        challenge, nonce = asked["code_challenge"], asked.get("nonce", "")
        self._codes[code] = _Code(org, tenant, user, redirect_uri, challenge, nonce, until)
        while len(self._codes) > MOST_CODES:
            del self._codes[next(iter(self._codes))]
        return back(redirect_uri, state, {"code": code, "session_state": token(32, org, "session", code)})

    def redeemed(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        """What a code is exchanged for. Raises LoginError for every reason Entra has to refuse one."""
        self._vendor.tokens.check_app(form, request.path_params["tenant"])
        code = form.get("code", "")
        if code in self._codes and self._codes[code] is None:
            raise LoginError(400, "invalid_grant", 54005, "OAuth2 Authorization code was already redeemed.")
        known = self._codes.get(code)
        if known is None:
            raise LoginError(400, "invalid_grant", 9002313, "Invalid request. The code is malformed or invalid.")
        if request.path_params["tenant"] != known.tenant:
            raise LoginError(400, "invalid_grant", 700005, "Provided Authorization Code is for another tenant.")
        if form.get("redirect_uri") != known.redirect_uri:
            text = "The reply address does not match the one provided when requesting Authorization code."
            raise LoginError(400, "invalid_client", 500112, text)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if not hmac.compare_digest(base64.urlsafe_b64encode(digest).decode().rstrip("="), known.challenge):
            text = "The Code_Verifier does not match the code_challenge supplied in the authorization request."
            raise LoginError(400, "invalid_grant", 501481, text)
        self._codes[code] = None
        if known.until < time.time():
            raise LoginError(400, "invalid_grant", 70008, "The provided authorization code has expired.")
        directory = self._vendor.tokens.directory_of(known.org)
        exchange_of(request).served(0, known.org)
        knob = exchange_of(request).struck("id_token_bent", known.org)
        places = {
            "issuer": f"{base_of(request)}/{directory}/v2.0",
            "audience": self._vendor.tokens.client_id,
            "directory": directory,
            "nonce": known.nonce,
        }
        people = self._vendor.people(known.org)
        bent = knob.parameters if knob else None
        return {
            "token_type": "Bearer",
            "scope": "openid profile email",
            "expires_in": LIFE_SECONDS - 1,
            "ext_expires_in": LIFE_SECONDS - 1,
            "access_token": f"user.{token(80, known.org, code)}",
            "id_token": self.id_tokens.issue(known.user, known.org, people.seed, places, bent),
        }


def _fault_in(request: Request) -> str:
    """What is wrong with a request to sign in, in Entra's words."""
    asked = request.query_params
    if asked.get("response_type") != "code":
        return "AADSTS700054: response_type is not enabled for the application."
    if "openid" not in asked.get("scope", "").split():
        return "AADSTS900144: The request body must contain the following parameter: 'scope'."
    if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
        return "AADSTS501491: Invalid size or method of Code_Challenge parameter."
    if asked.get("response_mode", "query") != "query":
        return "AADSTS90014: Only response_mode=query is imitated."
    return ""


def _user_of(people: People, hint: str) -> User | None:
    """By principal name, address, or what they are (`guest`, `member`); no hint means the administrator."""
    kinds = {"": 0, "admin": 0, "member": 1, "guest": people.users - 1}
    if hint in kinds:
        return people.user(kinds[hint])
    low = hint.lower()
    if "@" not in low:  # the name or id of a directory, which is no person's
        return people.user(0)
    users = (people.user(number) for number in range(people.users))
    return next((user for user in users if low in (user.principal.lower(), (user.mail or "").lower())), None)
