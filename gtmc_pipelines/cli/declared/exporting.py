"""Writes stored connectors as a file that `apply` takes: everything but secrets, which become references."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from gtmc_pipelines.cli.declared.reading import VERSION
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.connectors.registry import connector_of, login_of, options_of
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.entities import MAPPABLE
from gtmc_pipelines.model.secret_variables import secret_variable
from gtmc_pipelines.storage.connectors import ConnectorRow, list_connectors
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import get_config
from gtmc_pipelines.workflows.mappings_in_force import mappings_in_force, not_understood

_HEAD = """\
# Connectors, without secrets. Set the variables named under `credentials`, or write {file: PATH} instead,
# then: gtmc connectors apply FILE. What this file doesn't name stays as it is. Logins in the browser and
# the data-processing agreement of Office 365 are a person's to give, so they aren't here.
"""


def exported(database: Database, tenants: Iterable[str]) -> str:
    """The file's text. Tenants without connectors are left out."""
    found = {}
    for tenant in tenants:
        rows = list_connectors(database, tenant)
        if rows:
            found[tenant] = {"connectors": {row.type.value: _connector(database, row) for row in rows}}
    document = {"version": int(VERSION), "tenants": found}
    return _HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _connector(database: Database, row: ConnectorRow) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": row.name}
    declared = {option.name for option in options_of(row.type)}
    options = {name: value for name, value in row.options.items() if name in declared}
    if options:
        shown["options"] = options
    shown["schedule"] = (
        {"cron": row.schedule_cron, "timezone": row.schedule_timezone} if row.schedule_cron else "default"
    )
    login = login_of(row.type)
    if isinstance(login, KeyLogin) and row.status is not ConnectorStatus.DISCONNECTED:
        shown["credentials"] = {name: {"env": _variable(row, name)} for name in login.secrets}
    mappings = _mappings(database, row)
    if mappings:
        shown["mappings"] = mappings
    if row.type is ConnectorType.O365:
        shown |= _domains(database, row.tenant_id)
    return shown


def _mappings(database: Database, row: ConnectorRow) -> dict[str, Any]:
    """Those somebody decided on. Raises Broken `bad_legacy_mapping`: a file without it would stand for the defaults."""
    stored = mappings_in_force(database, connector_of(row.type), row.tenant_id, row.id)
    found = {}
    for entity in MAPPABLE:
        trouble = not_understood(stored.legacy, entity, row.tenant_id, row.type) if stored.legacy else None
        if trouble is not None:
            raise trouble
        decided = stored.decided(entity)
        if decided is not None:
            found[entity.value] = [MappingEntry.of(entry).as_dict() for entry in decided]
    return found


def _domains(database: Database, tenant: str) -> dict[str, Any]:
    with database.tenant(tenant) as handle:
        config = get_config(handle, tenant)
    own = {"own": config.tenant_o365_domain} if config.tenant_o365_domain else {}
    return {"domains": {"allowed": list(config.allowed_domains), **own}} if config.allowed_domains or own else {}


def _variable(row: ConnectorRow, name: str) -> str:
    """A name for the variable: GTMC_SECRET_<tenant>_<connector>_<secret>, in capitals."""
    return secret_variable(row.tenant_id, row.type, name)
