"""What a file asks of one connector; whatever it doesn't name stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.cli.declared.references import Reference
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron in a time zone; None is the default cadence."""

    cron: str | None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Domains:
    """Office 365: domains whose people may be kept, and the tenant's own (None: as it is)."""

    allowed: tuple[str, ...]
    own: str | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """One connector of one tenant. None, or nothing, means: not named by the file."""

    tenant_id: str
    type: ConnectorType
    line: int
    column: int
    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule | None = None
    credentials: Mapping[str, Reference] = field(default_factory=dict)
    mappings: Mapping[Entity, tuple[Mapping[str, Any], ...] | None] = field(default_factory=dict)  # None: the defaults
    domains: Domains | None = None
