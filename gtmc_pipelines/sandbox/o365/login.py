"""Pages of the login host: discovery documents, admin consent, tokens. People sign in by `sign_in`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.o365.errors import LoginError
from gtmc_pipelines.sandbox.o365.redirects import back, choice, is_registered, page
from gtmc_pipelines.sandbox.o365.sign_in import ANY, SignIn
from gtmc_pipelines.sandbox.vendor import base_of, exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.o365.vendor import O365Vendor


class LoginPages:
    """The endpoints under /{tenant}."""

    def __init__(self, vendor: O365Vendor) -> None:
        self._vendor = vendor
        self.sign_in = SignIn(vendor)

    async def discovery(self, request: Request) -> Response:
        """The OpenID configuration of a directory."""
        tenant = request.path_params["tenant"]
        base, root = base_of(request), f"{base_of(request)}/{tenant}"
        if tenant not in ANY and self._vendor.tokens.org_named(tenant) is None:
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
        """What id tokens are checked with; app-only tokens are signed by nobody."""
        return JSONResponse({"keys": self.sign_in.id_tokens.keys})

    async def consent(self, request: Request) -> Response:
        """Consent at once for the directory in the path, else let a person choose."""
        asked, tokens = request.query_params, self._vendor.tokens
        if asked.get("client_id") != tokens.client_id:
            return page("AADSTS700016: Application was not found in the directory.", 400)
        redirect_uri = asked.get("redirect_uri", "")
        if not is_registered(redirect_uri, self._vendor.redirect_uris):
            return page("AADSTS50011: The redirect URI does not match the ones registered for the application.", 400)
        tenant = request.path_params["tenant"]
        org = tokens.org_named(tenant)
        if exchange_of(request).struck("consent_refused", org):
            denied = {"error": "permission_denied", "error_description": "The admin canceled the request."}
            return back(redirect_uri, asked.get("state"), denied)
        if org is None:
            return choice(request, self._vendor.orgs) if tenant in ANY else _unknown(tenant).response()
        exchange_of(request).served(0, org)
        tokens.withdrawn.discard(org)
        self._vendor.changed()
        knob = exchange_of(request).struck("consent_elsewhere", org)
        named = str(knob.parameters.get("directory", "")) if knob else tokens.directory_of(org)
        given = {"admin_consent": "True", "tenant": named}
        if "/v2.0/" in request.url.path:
            given["scope"] = "https://graph.microsoft.com/.default"
        return back(redirect_uri, asked.get("state"), given)

    async def token(self, request: Request) -> Response:
        """An app-only token, or what a code of somebody who signed in is good for."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        try:
            is_code = form.get("grant_type") == "authorization_code"
            answer = self.sign_in.redeemed(request, form) if is_code else self._issued(request, form)
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


def _unknown(tenant: str) -> LoginError:
    return LoginError(400, "invalid_tenant", 90002, f"Tenant '{tenant[:60]}' not found.")
