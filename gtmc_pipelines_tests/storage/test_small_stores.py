"""Mappings, Office 365 consent and OAuth states."""

from __future__ import annotations

import hashlib
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import get_mapping, list_mappings, reset_mapping, save_mapping
from gtmc_pipelines.storage.o365 import (
    O365Config,
    accept_dpa,
    add_domains,
    get_config,
    remove_domains,
    set_domains,
    withdraw_dpa,
)
from gtmc_pipelines.storage.oauth_states import consume, remember

pytestmark = pytest.mark.services

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENTRIES: list[dict[str, Any]] = [
    {"sourceField": "Name", "targetField": "name", "transform": "trim", "required": True},
    {"sourceField": "Website", "targetField": "domain", "transform": "lowercase"},
]


def test_a_mapping_is_absent_then_saved_then_back_on_its_defaults(database: Database, connector: ConnectorRow) -> None:
    at = (database, connector.tenant_id, connector.id)
    assert get_mapping(*at, Entity.ACCOUNT) is None
    first = save_mapping(*at, Entity.ACCOUNT, ENTRIES, actor="anna")
    second = save_mapping(*at, Entity.ACCOUNT, ENTRIES[:1], actor="anna")
    save_mapping(*at, Entity.PERSON, ENTRIES)
    assert (first.version, second.version) == (1, 2)
    assert get_mapping(*at, Entity.ACCOUNT) == second
    assert second.entries == ENTRIES[:1]
    assert set(list_mappings(*at)) == {Entity.ACCOUNT, Entity.PERSON}
    assert reset_mapping(*at, Entity.ACCOUNT)
    assert not reset_mapping(*at, Entity.ACCOUNT)
    assert get_mapping(*at, Entity.ACCOUNT) is None
    with database.tenant(connector.tenant_id) as connection:
        assert audit.verify_chain(connection, connector.tenant_id).length == 2 + 3 + 1  # with tenant and connector


def test_consent_is_missing_until_accepted_and_again_when_withdrawn(database: Database, tenant: str) -> None:
    with database.tenant(tenant) as connection:
        assert get_config(connection, tenant) == O365Config()
    assert not withdraw_dpa(database, tenant, actor="anna", at=NOW)
    accepted = accept_dpa(database, tenant, actor="anna", dpa_version="2026-01", at=NOW)
    assert accepted.is_accepted
    assert (accepted.dpa_accepted_at, accepted.dpa_accepted_by, accepted.dpa_version) == (NOW, "anna", "2026-01")
    assert withdraw_dpa(database, tenant, actor="bert", at=NOW + timedelta(days=1))
    with database.tenant(tenant) as connection:
        withdrawn = get_config(connection, tenant)
    assert (withdrawn.is_accepted, withdrawn.revoked_at) == (False, NOW + timedelta(days=1))
    assert accept_dpa(database, tenant, actor="anna", dpa_version="2026-02", at=NOW).revoked_at is None


def test_domains_are_kept_in_lower_case_each_once_and_apart_from_consent(database: Database, tenant: str) -> None:
    config = set_domains(database, tenant, [" Example.com", "example.com", "b.org", ""], "Own.Example")
    assert config.allowed_domains == ("b.org", "example.com")
    assert config.tenant_o365_domain == "own.example"
    assert not config.is_accepted
    accept_dpa(database, tenant, actor="anna", dpa_version="1", at=NOW)
    assert set_domains(database, tenant, [], None).is_accepted


def test_of_domains_added_and_removed_at_once_none_is_lost(database: Database, tenant: str) -> None:
    names = [f"partner-{number}.example" for number in range(16)]
    set_domains(database, tenant, names[:8], "own.example")
    start = threading.Barrier(16)

    def change(place: int) -> None:
        start.wait()
        way = remove_domains if place < 8 else add_domains
        way(database, tenant, [names[place]], actor=f"person-{place}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(change, range(16)))
    with database.tenant(tenant) as connection:
        config = get_config(connection, tenant)
    assert config.allowed_domains == tuple(sorted(names[8:]))
    assert config.tenant_o365_domain == "own.example"


@pytest.mark.parametrize("domain", ["own.example", "eu.own.example"])
def test_the_tenants_own_domain_is_refused_however_it_is_allowed(database: Database, tenant: str, domain: str) -> None:
    set_domains(database, tenant, ["partner.example"], "own.example")
    for way in (set_domains, add_domains):
        with pytest.raises(Misuse) as refused:
            way(database, tenant, [domain], None, actor="anna")
        assert refused.value.code == "own_domain"
    with database.tenant(tenant) as connection:
        assert get_config(connection, tenant).allowed_domains == ("partner.example",)


def _nonce() -> bytes:
    return hashlib.sha256(uuid.uuid4().bytes).digest()


def test_of_many_who_bring_the_same_state_one_is_let_in(database: Database, connector: ConnectorRow) -> None:
    nonce, at = _nonce(), (connector.tenant_id, connector.id)
    remember(database, nonce, *at, NOW + timedelta(minutes=10))
    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(lambda _: consume(database, nonce, *at, NOW), range(10)))
    assert sorted(results) == [False] * 9 + [True]


def test_a_state_that_is_unknown_expired_or_of_another_connector_is_refused(
    database: Database, connector: ConnectorRow
) -> None:
    tenant, nonce = connector.tenant_id, _nonce()
    other = add_connector(database, tenant, "fathom")
    remember(database, nonce, tenant, connector.id, NOW)
    assert not consume(database, _nonce(), tenant, connector.id, NOW - timedelta(seconds=1))
    assert not consume(database, nonce, tenant, connector.id, NOW)
    assert not consume(database, nonce, tenant, other.id, NOW - timedelta(seconds=1))
    assert not consume(database, nonce, "somebody-else", connector.id, NOW - timedelta(seconds=1))
    assert consume(database, nonce, tenant, connector.id, NOW - timedelta(seconds=1))
