"""The imitated OAuth endpoints: consent at once, and refresh tokens that work once."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from gtmc_pipelines.sandbox.fathom.access import EXPIRES_SECONDS

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.fathom.vendor import FathomVendor


class OAuthPages:
    """Handlers of `/external/v1/oauth2`."""

    def __init__(self, vendor: FathomVendor) -> None:
        self._vendor = vendor

    async def authorize(self, request: Request) -> Response:
        """Redirects back with a code, for the account of `login_hint` or the first one."""
        asked, access = request.query_params, self._vendor.access
        redirect_uri = asked.get("redirect_uri", "")
        if asked.get("client_id") != access.client_id or not redirect_uri:
            return JSONResponse({"error": "invalid_client"}, 400)
        hint = asked.get("login_hint", "")
        account = hint if hint in self._vendor.orgs else self._vendor.orgs[0]
        answer = urlencode({"code": access.code_for(account), "state": asked.get("state", "")})
        return RedirectResponse(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{answer}", 302)

    async def token(self, request: Request) -> Response:
        """Tokens for a code or a refresh token."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        access = self._vendor.access
        if (form.get("client_id"), form.get("client_secret")) != (access.client_id, access.client_secret):
            return JSONResponse({"error": "invalid_client"}, 401)
        if form.get("grant_type") == "authorization_code":
            tokens = access.redeem(form.get("code", ""))
        elif form.get("grant_type") == "refresh_token":
            tokens = access.refresh(form.get("refresh_token", ""))
        else:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        if tokens is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        self._vendor.changed()
        answer = {"access_token": tokens.access, "refresh_token": tokens.refresh, "expires_in": EXPIRES_SECONDS}
        return JSONResponse({**answer, "token_type": "Bearer"})
