"""Connecting a connector and taking it back: vendor login and storage put together, outside any workflow.

Nothing is stored before the credentials have proved to work, so a failed login leaves what was there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gtmc_pipelines.connectors.bound import note_for
from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials, CredentialSource
from gtmc_pipelines.connectors.login import Grant, HeldCredentials, KeyLogin
from gtmc_pipelines.connectors.loopback import WAIT_SECONDS, Callback, LoopbackListener
from gtmc_pipelines.connectors.oauth import Pkce, StateSigner
from gtmc_pipelines.connectors.registry import addresses_of, connector_of, login_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import GtmcError, Misuse, Reauthorize, SyncFault
from gtmc_pipelines.model.noted_addresses import NOTED
from gtmc_pipelines.model.records import Health
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage import connection_owners, connector_states, oauth_states
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.composition import bound_to, compose, compose_agreed, key_ring
from gtmc_pipelines.workflows.connection_claims import accounts_of, note


@dataclass(frozen=True, slots=True)
class Connected:
    """Outcome of connecting: scopes and owner for people, what the first probe said, whether all is read again."""

    scopes: tuple[str, ...]
    required_scopes: tuple[str, ...]
    options: Mapping[str, object]
    health: Health
    starts_over: bool
    owner: str = ""


@dataclass(frozen=True, slots=True)
class _States:
    """Storage's OAuth states as the signer wants them, for one connector."""

    database: Database
    row: ConnectorRow

    def remember(self, nonce_hash: bytes, expires_at: datetime) -> None:
        """Note a state that is being sent out."""
        oauth_states.remember(self.database, nonce_hash, self.row.tenant_id, self.row.id, expires_at)

    def consume(self, nonce_hash: bytes, now: datetime) -> bool:
        """Use a state up."""
        return oauth_states.consume(self.database, nonce_hash, self.row.tenant_id, self.row.id, now)


def connect_in_browser(
    settings: Settings,
    database: Database,
    row: ConnectorRow,
    *,
    show: Callable[[str], None],
    actor: str,
    login_hint: str = "",
    wait_seconds: float = WAIT_SECONDS,
    may_share: bool = False,
) -> Connected:
    """Log in by OAuth over a loopback redirect; `show` gets the address to open, the audit log `actor`.

    Raises Misuse or Reauthorize with one sentence when the login fails, and stores nothing then.
    """
    login = login_of(row.type)
    if isinstance(login, KeyLogin):
        raise Misuse("connected_by_key", f"{row.type.label} is connected by a key.", next_step="Use --key-file.")
    composed, pkce = compose(settings, row), Pkce.fresh()
    key_ring(settings)  # fail before the user has logged in, not after
    signer = StateSigner(secrets.token_bytes(32), _States(database, row))
    with LoopbackListener(*_callback(settings, row.type)) as listener:
        step = _Step(row, signer, listener, wait_seconds, login.no_answer_hint)
        redirect = listener.redirect_uri
        callback = step.take(lambda state: show(login.authorize_url(composed, redirect, state, pkce, login_hint)))
        grant = login.exchange(composed, callback, redirect, pkce, login_hint)
        if login.consent_url(composed, grant, redirect, ""):
            consent = step.take(lambda state: listener.lead_on(login.consent_url(composed, grant, redirect, state)))
            login.check_consent(composed, grant, consent)
    if grant.missing_scopes:
        raise Reauthorize(
            "scopes_missing",
            f"{row.type.label} did not grant: {', '.join(grant.missing_scopes)}.",
            next_step="Allow these scopes in the app and connect again.",
        )
    proven = _proven_if_agreed(settings, database, row, grant)
    return _store(settings, database, row, proven, login.required_scopes, actor, may_share=may_share)


@dataclass(frozen=True, slots=True)
class _Step:
    """One way to the vendor's pages and back, under a state of its own."""

    row: ConnectorRow
    signer: StateSigner
    listener: LoopbackListener
    wait_seconds: float
    no_answer_hint: str

    def take(self, send: Callable[[str], None]) -> Callback:
        """Send the browser off with a fresh state, and give what comes back; the state is used up then."""
        state = self.signer.issue(self.row.tenant_id, self.row.id, datetime.now(UTC))
        try:
            send(state)
            callback = self._answer(state)
            self.signer.redeem(callback.state, self.row.tenant_id, self.row.id, datetime.now(UTC))
        except BaseException:  # Ctrl-C too: a login that was broken off leaves nothing
            self.signer.withdraw(state, datetime.now(UTC))
            raise
        return callback

    def _answer(self, state: str) -> Callback:
        """What came back; when nothing does, the error says what at this vendor may be the reason."""
        try:
            return self.listener.wait(state, self.wait_seconds)
        except Misuse as error:
            if error.code != "oauth_no_answer":
                raise
            raise Misuse(error.code, error.sentence, next_step=f"{error.next_step} {self.no_answer_hint}") from None


@dataclass(frozen=True, slots=True)
class Proven:
    """A grant that has worked, and what the probe said (not healthy: it couldn't be asked yet, and why).

    `addresses` are those it was tried at, and may be sent to from now on. None: as `bound` has it without a note.
    """

    grant: Grant
    health: Health
    addresses: Sequence[str] | None = None


def prove_keys(settings: Settings, row: ConnectorRow, keys: Mapping[str, Secret]) -> Proven:
    """Try keys against the vendor. `row` needn't be in the database yet, and nothing is stored.

    Raises Reauthorize, or the vendor's own trouble, in a sentence that says which address answered what.
    """
    key_ring(settings)  # keys that couldn't be sealed aren't sent anywhere
    login = login_of(row.type)
    if not isinstance(login, KeyLogin):
        raise Misuse("connected_in_browser", f"{row.type.label} is connected in the browser, not by a key.")
    composed = compose(settings, row)
    return _proven(composed, row.type, Grant(keys, login.discover(composed, keys) if login.discover else {}))


def connect_by_keys(
    settings: Settings,
    database: Database,
    row: ConnectorRow,
    keys: Mapping[str, Secret] | Proven,
    *,
    actor: str,
    may_share: bool = False,
) -> Connected:
    """Store keys sealed once they have proved to work (now, or just before). Otherwise nothing is stored.

    Raises Misuse `account_held` when they lead to what another tenant holds, unless the operator says they `may_share`.
    """
    proven = keys if isinstance(keys, Proven) else prove_keys(settings, row, keys)
    return _store(settings, database, row, proven, (), actor, may_share=may_share)


def verify(settings: Settings, database: Database, row: ConnectorRow, *, actor: str) -> Health:
    """Probe the vendor with the stored credentials. Raises the error when there are none or they are refused.

    A token that has expired is renewed, in the audit log by `actor`. Office 365 isn't asked without its agreement.
    """
    stored = StoredCredentials(database, key_ring(settings), row.tenant_id, row.id, actor=actor)
    bound = bound_to(settings, row, compose_agreed(settings, database, row), stored)
    return note(stored, row, _probe(row.type, *bound))


def disconnect(settings: Settings, database: Database, row: ConnectorRow, *, actor: str) -> str:
    """Revoke at the vendor where possible, then forget the secrets; gives what became of the revocation."""
    stored = _stored(settings, database, row)
    with stored.alone() as handle:  # a renewal under way ends first: what is revoked is the newest grant
        try:
            told = _revoke(settings, row, stored.opened(handle))
        except GtmcError as error:  # the secrets go all the same
            told = f"not revoked at {row.type.label}: {error.sentence}"
        connector_states.forget(handle, row.tenant_id, row.id, actor=actor)
    return told


def _revoke(settings: Settings, row: ConnectorRow, credentials: Credentials) -> str:
    login = login_of(row.type)
    if isinstance(login, KeyLogin):
        return "a key can only be withdrawn in the vendor's own settings"
    if not credentials:
        return "there was nothing to revoke"
    source, composed = bound_to(settings, row, compose(settings, row), HeldCredentials(credentials))
    is_revoked = login.revoke(composed, source.read())
    return f"revoked at {row.type.label}" if is_revoked else f"{row.type.label} had revoked it already"


def _proven_if_agreed(settings: Settings, database: Database, row: ConnectorRow, grant: Grant) -> Proven:
    """Try the grant, unless it is for Office 365 and the agreement is still to come: Graph isn't asked then."""
    try:
        composed = compose_agreed(settings, database, row)
    except Reauthorize as refusal:
        trial = _with_options_of(grant, compose(settings, row))
        return Proven(grant, Health(False, "", str(refusal)), _addresses(row.type, trial))
    return _proven(composed, row.type, grant)


def _proven(composed: ConnectorSettings, kind: ConnectorType, grant: Grant) -> Proven:
    """Try the grant; the credentials may be renewed by that, so what is to be stored is what is held afterwards."""
    trial = _with_options_of(grant, composed)
    held = HeldCredentials(grant.credentials)
    health = _probe(kind, held, trial)
    return Proven(replace(grant, credentials=held.read()), health, _addresses(kind, trial))


def _addresses(kind: ConnectorType, trial: ConnectorSettings) -> list[str]:
    return list(addresses_of(kind).of(trial).values())


def _with_options_of(grant: Grant, composed: ConnectorSettings) -> ConnectorSettings:
    return replace(composed, options={**composed.options, **grant.options})


def _store(
    settings: Settings,
    database: Database,
    row: ConnectorRow,
    proven: Proven,
    required: tuple[str, ...],
    actor: str,
    *,
    may_share: bool,
) -> Connected:
    """Store secrets, options and status of a proven grant together. The row may have changed since it was read."""
    grant, stored = proven.grant, _stored(settings, database, row)
    with stored.alone() as handle:
        starts_over = _is_of_another_account(row, grant, stored, handle)
        accounts = accounts_of(row.type, grant, proven.health)
        connection_owners.claim(handle, row.tenant_id, row.id, row.type, accounts, may_share=may_share)
        tried = proven.addresses
        noted = {} if tried is None else {NOTED: note_for(row.tenant_id, row.id, tried)}
        stored.store(handle, {**grant.credentials, **noted})
        options = connector_states.connect(
            handle,
            row.tenant_id,
            row.id,
            grant.options,
            starts_over=starts_over,
            actor=actor,
            after={"scopes": list(grant.scopes), "secrets": sorted(grant.credentials), "may_share": may_share},
        )
    return Connected(grant.scopes, required, options, proven.health, starts_over, grant.owner)


def _is_of_another_account(row: ConnectorRow, grant: Grant, stored: StoredCredentials, handle: Handle) -> bool:
    """Whether the positions that are kept may mean nothing to the account of this grant.

    A key names no account, so another key may be another account's.
    """
    login = login_of(row.type)
    if not isinstance(login, KeyLogin):
        before = connector_states.organization_of(handle, row.tenant_id, row.id)
        return bool(before and grant.account and before != grant.account)
    try:
        known = stored.opened(handle)
    except GtmcError:  # sealed with an encryption key that was lost
        return True
    return bool(known) and any(known.get(name) != grant.credentials[name] for name in login.secrets)


def _probe(kind: ConnectorType, credentials: CredentialSource, settings: ConnectorSettings) -> Health:
    connector = connector_of(kind)
    session = connector.authenticate(credentials, settings)
    try:
        health = connector.health_check(session)
    finally:
        session.close()
    if not health.is_healthy:
        raise SyncFault("probe_failed", f"{kind.label} can't be used; {health.url} was asked: {health.detail}")
    return health


def _stored(settings: Settings, database: Database, row: ConnectorRow) -> StoredCredentials:
    return StoredCredentials(database, key_ring(settings), row.tenant_id, row.id)


def _callback(settings: Settings, kind: ConnectorType) -> tuple[str, str]:
    """The registered callback URL, and the variable that sets it."""
    if kind is ConnectorType.O365:
        return settings.o365_redirect_uri, "O365_REDIRECT_URI"
    return settings.salesforce_callback_url, "SALESFORCE_CALLBACK_URL"
