"""Office 365's login: an administrator signs in at the directory, then consents for it.

Signing in proves whose directory it is and that the signer may consent there; the consent is the grant. What the
consent's redirect says of the directory is compared, never believed: anybody can send a browser there with any
directory's id. Access tokens are kept in memory only (`tokens`).
"""

from __future__ import annotations

from urllib.parse import urlencode

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials
from gtmc_pipelines.connectors.login import Grant
from gtmc_pipelines.connectors.loopback import Callback
from gtmc_pipelines.connectors.o365 import sign_in
from gtmc_pipelines.connectors.o365.addresses import app_secret, is_directory_id, login_url
from gtmc_pipelines.connectors.o365.id_token import require_administrator
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.model.errors import Misuse, Reauthorize
from gtmc_pipelines.vault.secret import Secret

PERMISSIONS = ("User.Read.All", "Mail.ReadBasic.All (or the role Application Mail.ReadBasic in Exchange)")
"""What the app must have been given: by the administrator's consent, and mail by either of two ways.

The consent page asks for whatever application permissions the registration lists, neither more nor less: its address
can't name any ("Admin consent on the Microsoft identity platform"). Who wants the scoped role registers the app with
User.Read.All alone.
"""


class O365Login:
    """How Office 365 is connected: a `BrowserLogin` in two steps, signing in and consenting."""

    required_scopes = PERMISSIONS
    no_answer_hint = (
        "If Microsoft's page showed an error, it doesn't call back: for AADSTS50011 register the address of "
        "O365_REDIRECT_URI with the app (as Web), for AADSTS90094 or 'Need admin approval' let an administrator log in."
    )

    def authorize_url(
        self, settings: ConnectorSettings, redirect_uri: str, state: str, pkce: Pkce, login_hint: str = ""
    ) -> str:
        """The sign-in page; a hint (domain, directory id or user name) names the directory in the path."""
        return sign_in.address(settings, redirect_uri, state, pkce, login_hint)

    def exchange(
        self, settings: ConnectorSettings, callback: Callback, redirect_uri: str, pkce: Pkce, login_hint: str = ""
    ) -> Grant:
        """The directory whose administrator signed in. Raises Reauthorize for everybody else (`id_token`)."""
        signer = sign_in.signer_of(settings, callback.code, redirect_uri, pkce, login_hint)
        authority = sign_in.authority_of(login_hint)
        if is_directory_id(authority) and authority.lower() != signer.directory:
            raise _another_directory()
        require_administrator(signer, settings.app.get("consent_role", Secret("")).reveal())
        domain = authority.lower() if "." in authority else signer.domain
        return Grant(
            {"directory_id": Secret(signer.directory)},
            {"organization_id": signer.directory},
            signer.directory,
            accounts=(signer.directory,),
            owner=f"{domain} (directory {signer.directory})" if domain else f"directory {signer.directory}",
        )

    def consent_url(self, settings: ConnectorSettings, grant: Grant, redirect_uri: str, state: str) -> str:
        """The consent page of the directory that was signed in to."""
        values = {"client_id": app_secret(settings, "client_id").reveal(), "redirect_uri": redirect_uri, "state": state}
        return f"{login_url(settings)}/{grant.account}/adminconsent?{urlencode(values)}"

    def check_consent(self, settings: ConnectorSettings, grant: Grant, callback: Callback) -> None:
        """Raise Reauthorize unless the answer is a consent, and of the directory that was signed in to."""
        if callback.parameters.get("admin_consent", "").lower() != "true":
            raise Reauthorize(
                "consent_missing",
                "The consent page came back without an administrator's consent.",
                next_step=f"Let an administrator consent: gtmc connectors connect --tenant {settings.tenant_id} "
                "--connector o365.",
            )
        if callback.parameters.get("tenant", "").lower() != grant.account:
            raise _another_directory()

    def revoke(self, settings: ConnectorSettings, credentials: Credentials) -> bool:
        """Raises Misuse: only the directory's administrator can take a consent back."""
        raise Misuse(
            "consent_stays", "only an administrator can remove the app from the directory (Enterprise applications)."
        )


def _another_directory() -> Reauthorize:
    return Reauthorize(
        "another_directory",
        "The login came back from another directory than the one that was asked or signed in to.",
        next_step="Start again, and stay with one directory's administrator: `gtmc connectors connect`.",
    )
