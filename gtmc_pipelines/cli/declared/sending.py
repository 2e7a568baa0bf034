"""Where a plan sends secrets: every reference, every address, and which of them nobody has confirmed yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gtmc_pipelines.cli.declared.desired import Desired
from gtmc_pipelines.connectors.bound import allowed_by, strangers
from gtmc_pipelines.connectors.contract import Credentials
from gtmc_pipelines.connectors.registry import addresses_of
from gtmc_pipelines.model.noted_addresses import NOTED, host_shown
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connectors import ConnectorRow, draft_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.workflows.composition import compose


@dataclass(frozen=True, slots=True)
class Sending:
    """One connector's secrets on their way: what refers to them, all addresses, and the hosts that are new."""

    references: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    new_hosts: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """For people; addresses nobody has confirmed are marked."""
        to = [f"{url} (new)" if host_shown(url) in self.new_hosts else url for url in self.addresses]
        return tuple(f"{reference} → {', '.join(to) or 'not sent: as stored'}" for reference in self.references)


def sending_of(
    settings: Settings, row: ConnectorRow, desired: Desired, stored: Credentials, *, is_sent: bool
) -> Sending:
    """What becomes of the secrets a connector's part of the file refers to. `row` is as the file wants it."""
    references = tuple(f"{name.replace('_', ' ')}: {one.shown}" for name, one in desired.credentials.items())
    if not is_sent:
        return Sending(references)
    addresses = tuple(dict.fromkeys(addresses_of(row.type).of(compose(settings, row)).values()))
    return Sending(references, addresses, tuple(dict.fromkeys(map(host_shown, new_addresses(settings, row, stored)))))


def new_addresses(settings: Settings, row: ConnectorRow, stored: Credentials) -> list[str]:
    """Addresses the row leads to that are neither the vendor's, nor the installation's, nor those of what is stored."""
    addresses = addresses_of(row.type)
    composed, installation = compose(settings, row), compose(settings, replace(row, options={}))
    allowed, _ = allowed_by(stored.get(NOTED), composed, addresses, installation)
    usual: Iterable[str] = addresses.of(installation).values()
    return strangers(addresses.of(composed).values(), (*allowed, *usual), addresses.is_own)


def moved_addresses(settings: Settings, row: ConnectorRow, stored: Credentials) -> list[str]:
    """Addresses the row leads to that what is stored may not be sent to."""
    addresses = addresses_of(row.type)
    composed, installation = compose(settings, row), compose(settings, replace(row, options={}))
    allowed, is_own = allowed_by(stored.get(NOTED), composed, addresses, installation)
    newest = stored.get(addresses.followed)
    return strangers(addresses.of(composed).values(), (*allowed, *((newest.reveal(),) if newest else ())), is_own)


def wanted_row(database: Database, desired: Desired, row: ConnectorRow | None) -> ConnectorRow:
    """The row as the file wants it, not stored."""
    if row is None:
        return draft_connector(database, desired.tenant_id, desired.type, desired.name, desired.options)
    return replace(row, options={**row.options, **desired.options})
