"""Vendor sessions: opened from stored credentials, which the log's redactor learns at that moment."""

from __future__ import annotations

from collections.abc import Callable

from gtmc_pipelines.connectors.contract import Credentials, CredentialSource, Session
from gtmc_pipelines.connectors.http_proxy import proxy_secrets
from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.vault.redaction import Redactor
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.composition import bound_to, compose_agreed


class RememberedCredentials:
    """A CredentialSource whose every opened secret is masked in this process's log from then on."""

    def __init__(self, source: CredentialSource, redactor: Redactor) -> None:
        self._source = source
        self._redactor = redactor

    def read(self) -> Credentials:
        """The credentials as they are stored now."""
        return self._remembered(self._source.read())

    def renew(self, stale: Secret, exchange: Callable[[Credentials], Credentials]) -> Credentials:
        """Replace them exactly once; see CredentialSource."""
        return self._remembered(
            self._source.renew(stale, lambda now: self._remembered(exchange(self._remembered(now))))
        )

    def _remembered(self, credentials: Credentials) -> Credentials:
        self._redactor.remember(*credentials.values())
        return credentials


def open_session(services: Services, row: ConnectorRow) -> Session:
    """An authenticated session of the row's connector; the caller closes it.

    Raises Reauthorize, also when its settings lead elsewhere than where its credentials were proven.
    """
    settings = compose_agreed(services.settings, services.database, row)
    services.redactor.remember(*settings.app.values(), *proxy_secrets(settings.http_proxy))
    stored = StoredCredentials(services.database, services.key_ring, row.tenant_id, row.id)
    remembered = RememberedCredentials(stored, services.redactor)
    return connector_of(row.type).authenticate(*bound_to(services.settings, row, settings, remembered))
