"""OAuth endpoints: authorize (approves by itself), token, revoke, identity."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from gtmc_pipelines.sandbox.salesforce.grants import Code, Grant, OAuthError
from gtmc_pipelines.sandbox.vendor import base_of, exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.vendor import SalesforceVendor


class OAuthPages:
    """The endpoints under /services/oauth2 and /id."""

    def __init__(self, vendor: SalesforceVendor) -> None:
        self._vendor = vendor

    async def authorize(self, request: Request) -> Response:
        """Approve at once for the org that `login_hint` names, else let a person choose the org."""
        asked = request.query_params
        if asked.get("client_id") != self._vendor.grants.client_id:
            return _page("error=invalid_client_id", "client identifier invalid", 400)
        redirect_uri = asked.get("redirect_uri", "")
        if redirect_uri not in self._vendor.redirect_uris:  # scheme, host, port and path, letter by letter
            return _page("error=redirect_uri_mismatch", "redirect_uri must match configuration", 400)
        if asked.get("response_type") != "code":
            return _back(redirect_uri, asked.get("state"), {"error": "unsupported_response_type"})
        org = self._vendor.hinted(asked.get("login_hint"))
        exchange = exchange_of(request)
        if exchange.struck("app_not_installed", org):
            return RedirectResponse(f"{_ERROR_PAGE}?error=invalid_client&error_description={_NOT_INSTALLED}", 302)
        if exchange.struck("access_denied", org):
            denied = {"error": "access_denied", "error_description": "end-user denied authorization"}
            return _back(redirect_uri, asked.get("state"), denied)
        if org is None:
            return self._choice(request)
        scope = asked.get("scope") or "api refresh_token"
        method = asked.get("code_challenge_method") or "S256"
        code = Code(org, redirect_uri, asked.get("code_challenge"), method, time.time(), scope)
        exchange.served(0, org)
        return _back(redirect_uri, asked.get("state"), {"code": self._vendor.grants.new_code(code)})

    async def error_page(self, request: Request) -> Response:
        """Salesforce's own page for what it doesn't tell the app: nothing is called back."""
        return HTMLResponse(
            "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>We can't authorize you because of an "
            "OAuth error. For more information, contact your Salesforce administrator.</h1>"
            "<p>OAUTH_APPROVAL_ERROR_GENERIC : An unexpected error has occured during authentication. "
            "Please try again.</p></body></html>"
        )

    def _choice(self, request: Request) -> Response:
        links = []
        for org in self._vendor.orgs:
            query = urlencode([*request.query_params.items(), ("login_hint", org)])
            links.append(f'<li><a href="?{escape(query)}">{escape(org)}</a></li>')
        return HTMLResponse(
            "<!DOCTYPE html><html><head><title>Allow access?</title></head><body><h1>Allow access as</h1>"
            f"<ul>{''.join(links)}</ul></body></html>"
        )

    async def token(self, request: Request) -> Response:
        """Exchange a code or a refresh token."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        try:
            grant, session, rotated = self._exchange(request, form)
        except OAuthError as error:
            body = {"error": error.error, "error_description": error.description}
            return JSONResponse(body, error.status, headers=_NO_STORE)
        exchange_of(request).served(0, grant.org)
        self._vendor.changed()
        return JSONResponse(self._tokens(request, grant, session, rotated), headers=_NO_STORE)

    def _exchange(self, request: Request, form: dict[str, str]) -> tuple[Grant, str, bool]:
        grants, exchange = self._vendor.grants, exchange_of(request)
        client_id, secret = _client(request, form)
        if client_id != grants.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if not hmac.compare_digest(secret.encode(), grants.client_secret.encode()):
            raise OAuthError("invalid_client", "invalid client credentials")
        kind = form.get("grant_type")
        owner = grants.grants.get(form.get("refresh_token", ""))
        if knob := exchange.struck("grant_refused", owner.org if owner else None):
            raise OAuthError("invalid_grant", str(knob.parameters.get("description", "ip restricted")))
        if kind == "authorization_code":
            grant, session = grants.redeem(
                form.get("code", ""), form.get("redirect_uri", ""), form.get("code_verifier")
            )
            return grant, session, True
        if kind != "refresh_token":
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        text = form.get("refresh_token", "")
        org = owner.org if owner else None
        if org and exchange.struck("revoke_grant", org):
            grants.revoke_org(org)
        rotate = exchange.struck("no_rotation", org) is None
        grant, session = grants.refresh(text, rotate=rotate)
        return grant, session, rotate

    def _tokens(self, request: Request, grant: Grant, session: str, rotated: bool) -> dict[str, Any]:
        base, org = base_of(request), self._vendor.org(grant.org)
        issued_at = str(int(self._vendor.clock(grant.org) * 1000))
        identity = f"{base}/id/{org.id}/{org.user_ids[0]}"
        secret = self._vendor.grants.client_secret.encode()
        signature = hmac.new(secret, f"{identity}{issued_at}".encode(), hashlib.sha256).digest()
        answer: dict[str, Any] = {
            "access_token": session,
            "signature": base64.b64encode(signature).decode(),
            "scope": grant.scope,
            "instance_url": self._vendor.moved_to(grant.org) or base,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued_at,
        }
        if rotated and any(name in grant.scope.split() for name in ("refresh_token", "offline_access", "full")):
            answer["refresh_token"] = grant.refresh_token
        return answer

    async def revoke(self, request: Request) -> Response:
        """Revoke a token: 200 without a body."""
        form = await request.form() if request.method == "POST" else request.query_params
        if not self._vendor.grants.revoke(str(form.get("token", ""))):
            body = {"error": "unsupported_token_type", "error_description": "this token type is not supported"}
            return JSONResponse(body, 400)
        self._vendor.changed()
        return Response(status_code=200)

    async def identity(self, request: Request) -> Response:
        """Who the session belongs to: the id URL and userinfo."""
        org = self._vendor.authorized(request)
        user, base = org.user_ids[0], base_of(request)
        if request.path_params.get("org", org.id) not in (org.id, org.id[:15]):
            return Response("Bad_OrgId", 403)
        return JSONResponse(
            {
                "id": f"{base}/id/{org.id}/{user}",
                "sub": f"{base}/id/{org.id}/{user}",
                "asserted_user": True,
                "user_id": user,
                "organization_id": org.id,
                "username": org.username,
                "preferred_username": org.username,
                "nick_name": "admin",
                "name": f"Admin of {org.name}",
                "display_name": f"Admin of {org.name}",
                "email": org.username,
                "active": True,
                "user_type": "STANDARD",
                "language": "en_US",
                "locale": "en_US",
                "urls": {
                    "rest": f"{base}/services/data/v{{version}}/",
                    "sobjects": f"{base}/services/data/v{{version}}/sobjects/",
                    "query": f"{base}/services/data/v{{version}}/query/",
                },
            }
        )


_ERROR_PAGE = "/setup/secur/RemoteAccessErrorPage.apexp"
_NOT_INSTALLED = "app+must+be+installed+into+org"
_NO_STORE = {"cache-control": "no-cache, no-store", "pragma": "no-cache"}


def _client(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Client id and secret from the form or from Basic authentication."""
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
        except ValueError:
            raise OAuthError("invalid_client", "invalid client credentials") from None
        return client_id, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def _back(redirect_uri: str, state: str | None, values: dict[str, str]) -> Response:
    if state is not None:
        values = {**values, "state": state}
    joint = "&" if "?" in redirect_uri else "?"
    return RedirectResponse(f"{redirect_uri}{joint}{urlencode(values)}", 302)


def _page(error: str, description: str, status: int) -> Response:
    return HTMLResponse(
        f"<!DOCTYPE html><html><head><title>Error</title></head><body><p>{error}&amp;error_description="
        f"{description}</p></body></html>",
        status,
    )
