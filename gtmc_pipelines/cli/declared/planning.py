"""Compares what a file asks for with what is stored: the plan, made before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.cli.declared.desired import Desired, Domains
from gtmc_pipelines.cli.declared.positions import Fault
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.connectors.registry import connector_of, login_of
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connectors import ConnectorRow, find_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import get_config, own_among
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.mappings_in_force import mappings_in_force


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one connector. `keys` are to be proven and sealed; empty: the stored ones stay."""

    desired: Desired
    row: ConnectorRow | None
    changes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    keys: Mapping[str, Secret] = field(default_factory=dict)

    @property
    def action(self) -> str:
        """create, update or unchanged."""
        if self.row is None:
            return "create"
        return "update" if self.changes else "unchanged"

    def as_dict(self) -> dict[str, Any]:
        """For the table and for JSON; no secret is in it."""
        return {
            "tenant": self.desired.tenant_id,
            "connector": self.desired.type.value,
            "action": self.action,
            "changes": "; ".join((*self.changes, *self.notes)) or None,
        }


def plan_of(settings: Settings, database: Database, desired: Desired, faults: list[Fault]) -> Step:
    """The step for one connector. References that lead nowhere are faults where a key is needed."""
    row = find_connector(database, desired.tenant_id, desired.type)
    keys, notes = _keys(settings, database, desired, row, faults)
    changes = list(_plain_changes(desired, row))
    if keys:
        changes.append(f"{', '.join(name.replace('_', ' ') for name in keys)}: proven at the vendor, then sealed")
    changes += _mapping_changes(database, desired, row, faults)
    changes += _domain_changes(database, desired, faults)
    return Step(desired, row, tuple(changes), tuple(notes), keys)


def _keys(
    settings: Settings, database: Database, desired: Desired, row: ConnectorRow | None, faults: list[Fault]
) -> tuple[Mapping[str, Secret], list[str]]:
    login = login_of(desired.type)
    is_connected = row is not None and row.status is not ConnectorStatus.DISCONNECTED
    if not isinstance(login, KeyLogin) or not desired.credentials:
        return {}, [] if is_connected else ["then: gtmc connectors connect"]
    found = {name: reference.resolve() for name, reference in desired.credentials.items()}
    absent = [name for name, secret in found.items() if secret is None]
    keys = {name: secret for name, secret in found.items() if secret is not None}
    if is_connected and absent:
        return {}, [f"stored keys kept: {desired.credentials[absent[0]].absence}"]
    for name in absent:
        reference = desired.credentials[name]
        faults.append(Fault(reference.line, reference.column, reference.absence))
    faults += [
        Fault(desired.line, desired.column, f"The {name.replace('_', ' ')} is not referred to under credentials.")
        for name in login.secrets
        if name not in desired.credentials
    ]
    faults += [
        Fault(desired.credentials[name].line, desired.credentials[name].column, "It holds characters no key has.")
        for name, secret in keys.items()
        if not secret.reveal().isascii() or not secret.reveal().isprintable()
    ]
    if row is not None and is_connected:
        stored = StoredCredentials(database, key_ring(settings), row.tenant_id, row.id).read()
        if all(stored.get(name) == secret for name, secret in keys.items()):
            return {}, []
    return keys, []


def _plain_changes(desired: Desired, row: ConnectorRow | None) -> Iterator[str]:
    name, options = (row.name, row.options) if row else (desired.type.label, {})
    if desired.name is not None and desired.name != name:
        yield f"name: {desired.name}"
    for option, value in desired.options.items():
        if options.get(option) != value:
            yield f"{option}: {options.get(option, 'unset')} → {value}"
    before = (row.schedule_cron, row.schedule_timezone) if row else (None, "UTC")
    if desired.schedule is not None and (desired.schedule.cron, desired.schedule.timezone) != before:
        yield f"schedule: {_cron(*before)} → {_cron(desired.schedule.cron, desired.schedule.timezone)}"


def _cron(cron: str | None, timezone: str) -> str:
    return f"{cron} ({timezone})" if cron else "default"


def _mapping_changes(
    database: Database, desired: Desired, row: ConnectorRow | None, faults: list[Fault]
) -> Iterator[str]:
    if not desired.mappings:
        return
    stored = mappings_in_force(database, connector_of(desired.type), desired.tenant_id, row.id) if row else None
    for entity, entries in desired.mappings.items():
        decided = stored.decided(entity) if stored else None
        before = None if decided is None else [MappingEntry.of(entry).as_dict() for entry in decided]
        if before != (None if entries is None else list(entries)):
            if stored and stored.legacy:
                sentence = "The connector is mapped by a legacy set; `gtmc mappings import-legacy` moves it over first."
                faults.append(Fault(desired.line, desired.column, sentence))
            yield f"mapping of {entity}: {'the defaults' if entries is None else f'{len(entries)} entries'}"


def _domain_changes(database: Database, desired: Desired, faults: list[Fault]) -> Iterator[str]:
    if desired.domains is None:
        return
    with database.tenant(desired.tenant_id) as handle:
        config = get_config(handle, desired.tenant_id)
    own = desired.domains.own or config.tenant_o365_domain
    for domain in own_among(desired.domains.allowed, own):
        sentence = f"{domain} is, or is below, the tenant's own domain {own}, and its people are never kept."
        faults.append(Fault(desired.line, desired.column, sentence))
    if Domains(config.allowed_domains, config.tenant_o365_domain) != Domains(desired.domains.allowed, own):
        yield f"allowed domains: {', '.join(desired.domains.allowed) or 'none'}"
