"""Carries a plan out: all keys are proven first, then each connector is brought to what the file says.

Every step may be repeated, so an apply that was interrupted anywhere is simply run again.
"""

from __future__ import annotations

from gtmc_pipelines.cli.declared.planning import Step
from gtmc_pipelines.cli.declared.positions import Fault
from gtmc_pipelines.cli.declared.sending import wanted_row
from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connector_states import rename, set_options, set_schedule
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector, require_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import reset_mapping, save_mapping
from gtmc_pipelines.storage.o365 import get_config, set_domains
from gtmc_pipelines.workflows.authorization import Proven, connect_by_keys, prove_keys
from gtmc_pipelines.workflows.mappings_in_force import mappings_in_force

ProvenKeys = dict[int, Proven]
"""By the step's place in the plan."""


def prove_all(settings: Settings, database: Database, steps: list[Step], faults: list[Fault]) -> ProvenKeys:
    """Try all new keys at their vendors. A refusal is a fault of the file; nothing is stored."""
    proven: ProvenKeys = {}
    for place, step in enumerate(steps):
        if not step.keys:
            continue
        try:
            proven[place] = prove_keys(settings, wanted_row(database, step.desired, step.row), step.keys)
        except GtmcError as error:
            faults.append(Fault(step.desired.line, step.desired.column, error.sentence))
    return proven


def apply_step(settings: Settings, database: Database, step: Step, proven: Proven | None, actor: str) -> ConnectorRow:
    """Bring one connector to what the file says; gives its row as it is then."""
    wanted, tenant = step.desired, step.desired.tenant_id
    row = step.row or add_connector(database, tenant, wanted.type, wanted.name, wanted.options, actor=actor)
    if wanted.name is not None and wanted.name != row.name:
        rename(database, tenant, row.id, wanted.name, actor=actor)
    if any(row.options.get(name) != value for name, value in wanted.options.items()):
        set_options(database, tenant, row.id, {**row.options, **wanted.options}, actor=actor)
    if proven is not None:
        connect_by_keys(settings, database, require_connector(database, tenant, row.id), proven, actor=actor)
    schedule = wanted.schedule
    if schedule is not None and (schedule.cron, schedule.timezone) != (row.schedule_cron, row.schedule_timezone):
        set_schedule(database, tenant, row.id, schedule.cron, schedule.timezone, actor=actor)
    _apply_mappings(database, step, row, actor)
    _apply_domains(database, step, actor)
    return require_connector(database, tenant, row.id)


def _apply_mappings(database: Database, step: Step, row: ConnectorRow, actor: str) -> None:
    stored = mappings_in_force(database, connector_of(row.type), row.tenant_id, row.id)
    for entity, entries in step.desired.mappings.items():
        decided = stored.decided(entity)
        if entries is None and decided is not None:
            reset_mapping(database, row.tenant_id, row.id, entity, actor=actor)
        elif entries is not None and (decided is None or list(decided) != list(entries)):
            save_mapping(database, row.tenant_id, row.id, entity, entries, actor=actor)


def _apply_domains(database: Database, step: Step, actor: str) -> None:
    domains, tenant = step.desired.domains, step.desired.tenant_id
    if domains is None:
        return
    with database.tenant(tenant) as handle:
        before = get_config(handle, tenant)
    own = domains.own or before.tenant_o365_domain
    if (before.allowed_domains, before.tenant_o365_domain) != (domains.allowed, own):
        set_domains(database, tenant, domains.allowed, domains.own, actor=actor)
