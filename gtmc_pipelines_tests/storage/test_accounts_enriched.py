"""The view accounts_enriched fills what the CRM leaves empty, by domain, and nothing else; rows stay as they are."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines_tests.storage.write_scene import FieldMapper, Scene, record

pytestmark = pytest.mark.services

ACCOUNT = FieldMapper("accounts", ("name", "domain", "industry", "employee_count", "annual_revenue"))
FACTS: dict[str, Any] = {"industry": "Energy", "employee_count": 42, "annual_revenue": 1_200_000.5}


def _scene(database: Database, tenant: str, kind: ConnectorType) -> Scene:
    stream = "accounts" if kind is ConnectorType.SALESFORCE else "company_enrichment"
    return Scene(database, tenant, kind, stream, (ACCOUNT,))


def _crm(database: Database, tenant: str) -> Scene:
    return _scene(database, tenant, ConnectorType.SALESFORCE)


def _enrichment(database: Database, tenant: str) -> Scene:
    return _scene(database, tenant, ConnectorType.DELIVRAI)


def _enriched(scene: Scene) -> dict[str, tuple[Any, ...]]:
    found = scene.select("SELECT * FROM accounts_enriched")
    return {row["external_id"]: (row["industry"], row["employee_count"], row["annual_revenue"]) for row in found}


def test_empty_facts_are_filled_and_stated_ones_stay(database: Database, tenant: str) -> None:
    crm = _crm(database, tenant)
    crm.write(
        record("1", name="Empty", domain="acme.example"),
        record("2", name="Stated", domain="acme.example", industry="Banking", employee_count=0),
        record("3", name="Elsewhere", domain="other.example"),
        record("4", name="Without a domain"),
    )
    _enrichment(database, tenant).write(record("acme.example", None, name="x", domain="acme.example", **FACTS))
    assert _enriched(crm) == {
        "1": ("Energy", 42, Decimal("1200000.5")),
        "2": ("Banking", 0, Decimal("1200000.5")),
        "3": (None, None, None),
        "4": (None, None, None),
    }


def test_the_crms_rows_are_never_touched_by_enrichment(database: Database, tenant: str) -> None:
    crm = _crm(database, tenant)
    account = record("1", name="Empty", domain="acme.example")
    crm.write(account)
    before = crm.select("SELECT * FROM accounts WHERE source = 'salesforce'")
    _enrichment(database, tenant).write(record("acme.example", None, name="x", domain="acme.example", **FACTS))
    assert crm.select("SELECT * FROM accounts WHERE source = 'salesforce'") == before
    again = crm.write(account)
    assert (again.updated, again.unchanged) == (0, 1)


def test_enrichment_that_is_gone_fills_nothing_and_deleted_accounts_are_not_shown(
    database: Database, tenant: str
) -> None:
    crm, enrichment = _crm(database, tenant), _enrichment(database, tenant)
    crm.write(record("1", name="Empty", domain="acme.example"))
    crm.write(record("2", name="Gone", domain="acme.example"))
    crm.write(record("2", 5, deleted=True, name="Gone"))
    enrichment.write(record("acme.example", None, name="x", domain="acme.example", **FACTS))
    enrichment.write(record("acme.example", None, deleted=True, name="x", domain="acme.example"))
    assert _enriched(crm) == {"1": (None, None, None)}


def test_another_tenants_enrichment_is_neither_seen_nor_used(database: Database, tenant: str) -> None:
    other = f"tenant-{uuid.uuid4().hex[:12]}"
    add_tenant(database, other, "Other")
    mine = _crm(database, tenant)
    mine.write(record("1", name="Empty", domain="acme.example"))
    theirs = _crm(database, other)
    theirs.write(record("9", name="Theirs", domain="acme.example"))
    _enrichment(database, other).write(record("acme.example", None, name="x", domain="acme.example", **FACTS))
    assert _enriched(mine) == {"1": (None, None, None)}
    with database.tenant(tenant) as handle:
        assert rows(handle, "SELECT * FROM accounts_enriched WHERE tenant_id = %(other)s", {"other": other}) == []
