"""Once a day and stream: whether what is stored is what the vendor has. It changes nothing and fails no sync."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gtmc_pipelines.connectors.contract import Connector
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.errors import SyncFault
from gtmc_pipelines.storage import comparisons
from gtmc_pipelines.storage.comparisons import Comparison
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database

_EPOCH_DAYS = 719_163  # datetime.toordinal() of 1970-01-01


def compare(
    database: Database,
    connector: Connector,
    session: Any,
    row: ConnectorRow,
    stream: Stream,
    until: datetime,
) -> None:
    """Ask the vendor and keep the numbers. A fault is kept by its code, and the next day tries again."""
    try:
        answers = connector.census(session, stream, until, until.toordinal() - _EPOCH_DAYS)
        found = comparisons.compare(database, row.tenant_id, stream, answers)
    except SyncFault as fault:
        found = Comparison(row.tenant_id, stream.name, until, "", problem=fault.code)
    hidden = comparisons.not_visible(database, row.tenant_id, stream)
    if found is not None:
        comparisons.keep(database, row.id, replace(found, not_visible=hidden), datetime.now(UTC))
