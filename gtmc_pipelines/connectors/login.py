"""How a connector is connected: by a login in the browser, or by keys the user hands over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials
from gtmc_pipelines.connectors.loopback import Callback
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.vault.secret import Secret


@dataclass(frozen=True, slots=True)
class Grant:
    """What a login gave: secrets to seal, plain options for the connector's row, and the scopes.

    `account` names the vendor's organization: when it differs from the one before, everything has to
    be read again. `accounts` are what the connector comes to hold, in the one form the vendor's ids are compared
    in; `owner` says whose it is, for people. `missing_scopes` are required ones that weren't granted.
    """

    credentials: Mapping[str, Secret]
    options: Mapping[str, Any] = field(default_factory=dict)
    account: str = ""
    accounts: tuple[str, ...] = ()
    owner: str = ""
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()


class BrowserLogin(Protocol):
    """A vendor that is connected in the browser (OAuth); one per vendor, stateless."""

    @property
    def required_scopes(self) -> tuple[str, ...]:
        """Scopes a grant must have."""
        ...

    @property
    def no_answer_hint(self) -> str:
        """What keeps this vendor's page from calling back, and who can change that: for a login that waited in vain."""
        ...

    def authorize_url(
        self, settings: ConnectorSettings, redirect_uri: str, state: str, pkce: Pkce, login_hint: str = ""
    ) -> str:
        """The address to open. Raises Misuse for a `redirect_uri` that can't be registered there."""
        ...

    def exchange(
        self, settings: ConnectorSettings, callback: Callback, redirect_uri: str, pkce: Pkce, login_hint: str = ""
    ) -> Grant:
        """Turn what came back into a grant. Raises by the vendor's refusal; stores nothing."""
        ...

    def consent_url(self, settings: ConnectorSettings, grant: Grant, redirect_uri: str, state: str) -> str:
        """Where the browser goes on to after the exchange; "" where the grant is whole by then."""
        ...

    def check_consent(self, settings: ConnectorSettings, grant: Grant, callback: Callback) -> None:
        """Judge what came back from there. Raises Reauthorize when it isn't what the grant needs."""
        ...

    def revoke(self, settings: ConnectorSettings, credentials: Credentials) -> bool:
        """Take the grant back at the vendor; False when it was gone already."""
        ...


@dataclass(frozen=True, slots=True)
class KeyLogin:
    """A vendor that is connected by keys, asked for by name (`api_key`) and proven before they are stored.

    `optional` ones may be left empty. `discover`, where a vendor has it, proves the keys itself and gives
    plain options found out on the way (the region a key belongs to); it raises Reauthorize, naming which
    address answered what, when they don't work. Without it the connector's health check is the proof.
    """

    secrets: tuple[str, ...] = ("api_key",)
    optional: tuple[str, ...] = ()
    discover: Callable[[ConnectorSettings, Credentials], Mapping[str, Any]] | None = None

    @property
    def credential_names(self) -> tuple[str, ...]:
        """All names, in the order in which they are asked for."""
        return (*self.secrets, *self.optional)


@dataclass(slots=True)
class HeldCredentials:
    """A `CredentialSource` in memory, to try credentials before they are stored."""

    held: Credentials

    def read(self) -> Credentials:
        """What is held."""
        return self.held

    def renew(self, stale: Secret, exchange: Callable[[Credentials], Credentials]) -> Credentials:
        """Exchange and hold the result."""
        if self.held.get("access_token", Secret("")) == stale:
            self.held = {**self.held, **exchange(self.held)}
        return self.held
