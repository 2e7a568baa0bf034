"""Compares what a file asks for with what is stored: the plan, made before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.cli.declared.desired import Desired, Domains
from gtmc_pipelines.cli.declared.positions import Fault
from gtmc_pipelines.cli.declared.references import Unreachable
from gtmc_pipelines.cli.declared.sending import Sending, moved_addresses, sending_of, wanted_row
from gtmc_pipelines.connectors.contract import Credentials
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.connectors.registry import connector_of, login_of
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connectors import ConnectorRow, find_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import get_config, own_among
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.mappings_in_force import mappings_in_force

_MOVED = (
    "This leads a connected connector elsewhere, and stored credentials don't go along: refer to its keys under "
    "credentials, or move it with `gtmc connectors rebind --option`."
)


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one connector. `keys` are to be proven and sealed; empty: the stored ones stay."""

    desired: Desired
    row: ConnectorRow | None
    changes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    keys: Mapping[str, Secret] = field(default_factory=dict)
    sending: Sending = field(default_factory=Sending)

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
            "references": list(self.sending.references),
            "addresses": list(self.sending.addresses),
            "new_hosts": list(self.sending.new_hosts),
        }


def plan_of(settings: Settings, database: Database, desired: Desired, faults: list[Fault]) -> Step:
    """The step for one connector. References that lead nowhere are faults where a key is needed."""
    row = find_connector(database, desired.tenant_id, desired.type)
    stored = _stored(settings, database, desired, row)
    wanted, sending = wanted_row(database, desired, row), Sending()
    try:
        has_moved = bool(stored) and bool(moved_addresses(settings, wanted, stored))
        keys, notes = _keys(desired, row, stored, faults, has_moved=has_moved)
        if has_moved and not keys:
            faults.append(Fault(desired.line, desired.column, _MOVED))
        sending = sending_of(settings, wanted, desired, stored, is_sent=bool(keys))
    except Broken as refused:  # an address nobody may send anything to
        keys, notes = {}, []
        faults.append(Fault(desired.line, desired.column, refused.sentence))
    changes = list(_plain_changes(desired, row))
    if keys:
        changes.append(f"{', '.join(name.replace('_', ' ') for name in keys)}: proven at the vendor, then sealed")
    changes += _mapping_changes(database, desired, row, faults)
    changes += _domain_changes(database, desired, faults)
    return Step(desired, row, tuple(changes), tuple(notes), keys, sending)


def _stored(settings: Settings, database: Database, desired: Desired, row: ConnectorRow | None) -> Credentials:
    """What a connected connector holds, where the file may ask for other keys or another address."""
    if row is None or row.status is ConnectorStatus.DISCONNECTED or not (desired.credentials or desired.options):
        return {}
    return StoredCredentials(database, key_ring(settings), row.tenant_id, row.id).read()


def _keys(
    desired: Desired, row: ConnectorRow | None, stored: Credentials, faults: list[Fault], *, has_moved: bool
) -> tuple[Mapping[str, Secret], list[str]]:
    login = login_of(desired.type)
    is_connected = row is not None and row.status is not ConnectorStatus.DISCONNECTED
    if not isinstance(login, KeyLogin) or not desired.credentials:
        return {}, [] if is_connected else ["then: gtmc connectors connect"]
    keys: dict[str, Secret] = {}
    absences: dict[str, Unreachable] = {}
    for name, reference in desired.credentials.items():
        try:
            keys[name] = reference.resolve()
        except Unreachable as fault:
            absences[name] = fault
    if is_connected and absences and all(why.is_absent for why in absences.values()):
        return {}, [f"stored keys kept: {next(iter(absences.values()))}"]
    for name, why in absences.items():
        reference = desired.credentials[name]
        faults.append(Fault(reference.line, reference.column, str(why)))
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
    if is_connected and not has_moved and all(stored.get(name) == secret for name, secret in keys.items()):
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
