"""The whole path as a worker runs it: the Salesforce connector against a running sandbox, mapped and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials
from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Page, ReadFrom
from gtmc_pipelines.storage.batch import BatchTarget
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.activities.ahead import Ahead
from gtmc_pipelines_tests.bench.ours import UNTIL

ORG = "acme"


class FixedCredentials:
    """The sandbox's ready-made token."""

    def __init__(self, token: str, instance_url: str) -> None:
        self._now = {"access_token": Secret(token), "instance_url": Secret(instance_url)}

    def read(self) -> Credentials:
        return self._now

    def renew(self, stale: Secret, exchange: Callable[[Credentials], Credentials]) -> Credentials:
        raise AssertionError("the sandbox's token doesn't expire during a benchmark")


def pages_of(announcement: dict[str, Any], target: BatchTarget, *, by_bulk: bool) -> Iterator[Page]:
    """A full read of the contacts of one org, a thread ahead of whoever writes, by SOQL or by Bulk API 2.0."""
    vendor = announcement["vendors"]["salesforce"]
    url = vendor["http"]
    options = {"instance_url": url, "login_url": url, "bulk_threshold": 1 if by_bulk else 999_999_999}
    settings = ConnectorSettings(
        target.tenant_id,
        target.connector_id,
        options=options,
        sandbox_hosts=frozenset({url.partition("://")[2]}),
    )
    connector = connector_of(ConnectorType.SALESFORCE)
    credentials = FixedCredentials(vendor["credentials"]["orgs"][ORG]["access_token"], url)
    session = connector.authenticate(credentials, settings)
    try:
        source = connector.read(session, target.stream, ReadFrom(SyncMode.FULL, UNTIL))
        with Ahead(source, lambda: None) as pages:
            yield from pages
    finally:
        session.close()
