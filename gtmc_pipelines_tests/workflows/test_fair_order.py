"""The order of a scheduled sweep, without any service."""

from __future__ import annotations

from datetime import UTC, datetime

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.workflows.activities.due import fair_order

_AT = datetime(2026, 1, 1, tzinfo=UTC)


def _row(tenant: str, kind: ConnectorType, status: ConnectorStatus = ConnectorStatus.CONNECTED) -> ConnectorRow:
    return ConnectorRow(f"{tenant}-{kind}", tenant, kind, "", status, None, None, None, None, None, "UTC", 0, _AT, _AT)


def test_a_tenant_with_many_connectors_does_not_hold_up_the_others() -> None:
    rows = [_row("big", kind) for kind in ConnectorType] + [_row("small", ConnectorType.FATHOM)]
    order = [row.tenant_id for _, row in fair_order(rows)]
    assert order[:2] == ["big", "small"]
    assert len(order) == 6


def test_places_do_not_move_when_a_status_changes() -> None:
    before = [_row("a", ConnectorType.SALESFORCE), _row("a", ConnectorType.FATHOM), _row("b", ConnectorType.O365)]
    after = [_row(row.tenant_id, row.type, ConnectorStatus.ERROR) for row in reversed(before)]
    assert [(place, row.id) for place, row in fair_order(before)] == [
        (place, row.id) for place, row in fair_order(after)
    ]
