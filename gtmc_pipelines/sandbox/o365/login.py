"""Pages of the login host: discovery documents, admin consent, tokens."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from gtmc_pipelines.sandbox.o365.errors import LoginError
from gtmc_pipelines.sandbox.vendor import exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.o365.vendor import O365Vendor

_LOCALHOST = re.compile(r"http://localhost(:\d{1,5})?(?=[/?#]|\Z)")
_ANY = ("organizations", "common")


def base_of(request: Request) -> str:
    """Scheme and host as the client sees them."""
    return f"{request.url.scheme}://{request.headers.get('host', '')}"


class LoginPages:
    """The endpoints under /{tenant}."""

    def __init__(self, vendor: O365Vendor) -> None:
        self._vendor = vendor

    async def discovery(self, request: Request) -> Response:
        """The OpenID configuration of a directory."""
        tenant = request.path_params["tenant"]
        base, root = base_of(request), f"{base_of(request)}/{tenant}"
        if tenant not in _ANY and self._vendor.tokens.org_named(tenant) is None:
            return _unknown(tenant).response()
        org = self._vendor.tokens.org_named(tenant)
        directory = self._vendor.tokens.directory_of(org) if org else "{tenantid}"
        return JSONResponse(
            {
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "id_token", "code id_token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": f"{base}/{directory}/v2.0",
                "request_uri_parameter_supported": False,
                "userinfo_endpoint": f"{base}/oidc/userinfo",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
                "http_logout_supported": True,
                "frontchannel_logout_supported": True,
                "end_session_endpoint": f"{root}/oauth2/v2.0/logout",
                "claims_supported": ["sub", "iss", "aud", "exp", "iat", "tid"],
                "tenant_region_scope": "EU",
                "cloud_instance_name": request.headers.get("host", ""),
            }
        )

    async def instances(self, request: Request) -> Response:
        """Instance discovery: this host is its own only instance."""
        host = request.headers.get("host", "")
        alias = {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
        tenant = f"{base_of(request)}/common/v2.0/.well-known/openid-configuration"
        return JSONResponse({"tenant_discovery_endpoint": tenant, "api-version": "1.1", "metadata": [alias]})

    async def keys(self, request: Request) -> Response:
        """No keys: nothing here is signed."""
        return JSONResponse({"keys": []})

    async def consent(self, request: Request) -> Response:
        """Consent at once for the directory in the path, else let a person choose."""
        asked, tokens = request.query_params, self._vendor.tokens
        if asked.get("client_id") != tokens.client_id:
            return _page("AADSTS700016: Application was not found in the directory.", 400)
        redirect_uri = asked.get("redirect_uri", "")
        if without_local_port(redirect_uri) not in map(without_local_port, self._vendor.redirect_uris):
            return _page("AADSTS50011: The redirect URI does not match the ones registered for the application.", 400)
        tenant = request.path_params["tenant"]
        org = tokens.org_named(tenant)
        if exchange_of(request).struck("consent_refused", org):
            denied = {"error": "permission_denied", "error_description": "The admin canceled the request."}
            return _back(redirect_uri, asked.get("state"), denied)
        if org is None:
            return self._choice(request) if tenant in _ANY else _unknown(tenant).response()
        exchange_of(request).served(0, org)
        tokens.withdrawn.discard(org)
        self._vendor.changed()
        given = {"admin_consent": "True", "tenant": tokens.directory_of(org)}
        if "/v2.0/" in request.url.path:
            given["scope"] = "https://graph.microsoft.com/.default"
        return _back(redirect_uri, asked.get("state"), given)

    def _choice(self, request: Request) -> Response:
        tail = request.url.path.partition("/")[2].partition("/")[2]
        links = [
            f'<li><a href="/{org}/{escape(tail)}?{escape(urlencode(list(request.query_params.items())))}">{escape(org)}'
            "</a></li>"
            for org in self._vendor.orgs
        ]
        return HTMLResponse(
            "<!DOCTYPE html><html><head><title>Permissions requested</title></head><body><h1>Review for your "
            f"organization</h1><ul>{''.join(links)}</ul></body></html>"
        )

    async def token(self, request: Request) -> Response:
        """An app-only token."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        try:
            answer = self._issued(request, form)
        except LoginError as error:
            return error.response()
        self._vendor.changed()
        return JSONResponse(answer, headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})

    def _issued(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        tenant, tokens = request.path_params["tenant"], self._vendor.tokens
        org = tokens.org_named(tenant)
        if org is None:
            raise _unknown(tenant)
        exchange_of(request).served(0, org)
        if exchange_of(request).struck("app_unknown", org) or org in tokens.withdrawn:
            text = f"Application with identifier '{tokens.client_id}' was not found in the directory '{org}'."
            raise LoginError(400, "unauthorized_client", 700016, text)
        return tokens.issue(org, form, is_scoped=self._vendor.scope_of(org) is not None)


def without_local_port(uri: str) -> str:
    """A redirect address as Microsoft compares it: the port of a localhost address is ignored, nothing else is.

    A bare 127.0.0.1 is another address ("Redirect URI restrictions": only `localhost` may be http in the portal).
    """
    return _LOCALHOST.sub("http://localhost", uri, count=1)


def _unknown(tenant: str) -> LoginError:
    return LoginError(400, "invalid_tenant", 90002, f"Tenant '{tenant[:60]}' not found.")


def _back(redirect_uri: str, state: str | None, values: dict[str, str]) -> Response:
    query = urlencode({**values, **({"state": state} if state is not None else {})})
    joint = "&" if "?" in redirect_uri else "?"
    return RedirectResponse(f"{redirect_uri}{joint}{query}", 302)


def _page(text: str, status: int) -> Response:
    return HTMLResponse(f"<!DOCTYPE html><html><body><h1>Sign in</h1><p>{escape(text)}</p></body></html>", status)
