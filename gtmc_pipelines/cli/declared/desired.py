"""What a file asks of one connector; whatever it doesn't name stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gtmc_pipelines.cli.text_files import read_text
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.settings import environment_secret
from gtmc_pipelines.vault.secret import Secret

_LONGEST = 4096  # characters; keys are far shorter


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a secret is to be found: a variable or a file. `line` is where the file says so."""

    kind: str  # env or file
    place: str
    line: int
    column: int

    def resolve(self) -> Secret | None:
        """The secret, stripped; None when the variable isn't set or the file isn't there or not text."""
        if self.kind == "env":
            found = environment_secret(self.place)
            text = found.get_secret_value() if found is not None else ""
        else:
            text = _first(Path(self.place))
        return Secret(text.strip()) if text.strip() else None

    @property
    def absence(self) -> str:
        """The sentence for a reference that leads nowhere."""
        if self.kind == "env":
            return f"The variable {self.place} is not set."
        return f"The file {self.place!r} can't be read or is empty."


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


def _first(file: Path) -> str:
    try:
        return read_text(file, _LONGEST)
    except (OSError, UnicodeDecodeError):
        return ""
