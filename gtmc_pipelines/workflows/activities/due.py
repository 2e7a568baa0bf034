"""list_due: which connectors a scheduled sweep syncs next, in an order that is fair between tenants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.connectors import ConnectorRow, list_connectors
from gtmc_pipelines.storage.tenants import require_tenant
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.inputs import DueConnector, ScheduledRequest


def list_due(services: Services, request: ScheduledRequest) -> list[DueConnector]:
    """The next `per_run` connected connectors after the place the sweep has come to.

    Raises Misuse for an unknown tenant, and when a sweep begins without saying whose connectors are meant.
    """
    if request.tenant_id:
        require_tenant(services.database, request.tenant_id)
    elif not request.all_tenants and not request.after:
        raise Misuse(
            "no_tenant_named",
            "The scheduled sync names no tenant.",
            next_step='Name one ({"tenantId": "…"}), or say that all are meant: {"allTenants": true}.',
        )
    rows = list_connectors(services.database, request.tenant_id or None)
    due = [
        DueConnector(row.tenant_id, row.id, row.type, place)
        for place, row in fair_order(rows)
        if place > request.after
        and row.status is ConnectorStatus.CONNECTED
        and request.connector_type in (None, row.type)
    ]
    return due[: request.per_run]


def fair_order(rows: Iterable[ConnectorRow]) -> list[tuple[str, ConnectorRow]]:
    """Every tenant's first connector, then every tenant's second, and so on, each with its place.

    A place doesn't depend on anybody's status, so it stays the same while the sweep goes on.
    """
    turns: Counter[str] = Counter()
    placed = []
    for row in sorted(rows, key=lambda row: (row.tenant_id, row.type)):
        placed.append((f"{turns[row.tenant_id]:04d}/{row.tenant_id}/{row.type}", row))
        turns[row.tenant_id] += 1
    return sorted(placed, key=lambda each: each[0])
