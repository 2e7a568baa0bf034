"""Rotation of the sealing key: everything is sealed again, nothing that changes meanwhile is lost."""

from __future__ import annotations

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from gtmc_pipelines.storage import audit_entries, rotation, tombstones
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.rotation import Resealed, Unopened, reseal, take_census
from gtmc_pipelines.vault.keyring import KeyRing, SealContext, SealedBy, key_id
from gtmc_pipelines.vault.secret import Secret

pytestmark = pytest.mark.services

OLD, NEW = os.urandom(32), os.urandom(32)
BEFORE, BOTH, AFTER = KeyRing(OLD), KeyRing(NEW, [OLD]), KeyRing(NEW)
TOKENS = {"access_token": Secret("canary-access"), "refresh_token": Secret("canary-refresh")}


def legacy(plaintext: str) -> str:
    """The platform's format, under the old key."""
    iv = os.urandom(12)
    sealed = AESGCM(OLD).encrypt(iv, plaintext.encode(), None)
    return base64.b64encode(iv + sealed[-16:] + sealed[:-16]).decode()


def plant(superuser: psycopg.Connection[Any], connector: ConnectorRow, field: str, text: str) -> None:
    superuser.execute(
        "UPDATE connectors SET config = jsonb_set(config, ARRAY['secrets', %s], to_jsonb(%s::text)) WHERE id = %s",
        (field, text, connector.id),
    )


def rotated(database: Database, tenant: str, ring: KeyRing = BOTH) -> Resealed:
    return reseal(database, ring, tenant, actor="cli:anna")


def stored(database: Database, connector: ConnectorRow, ring: KeyRing) -> StoredCredentials:
    return StoredCredentials(database, ring, connector.tenant_id, connector.id)


def test_after_rotation_the_old_key_is_not_needed_any_more(
    database: Database, connector: ConnectorRow, superuser: psycopg.Connection[Any]
) -> None:
    tenant = connector.tenant_id
    stored(database, connector, BEFORE).save(TOKENS)
    plant(superuser, connector, "api_key", legacy("canary-legacy"))
    before = take_census(database, BOTH, tenant)
    assert before.sealed == {SealedBy("v2", key_id(OLD)): 2, SealedBy("v1", key_id(OLD)): 1}
    assert before.left(BOTH) == 3
    assert rotated(database, tenant) == Resealed(connectors=1, secrets=3)
    census = take_census(database, AFTER, tenant)
    assert (census.sealed, census.left(AFTER)) == ({SealedBy("v2", key_id(NEW)): 3}, 0)
    assert stored(database, connector, AFTER).read() == {**TOKENS, "api_key": Secret("canary-legacy")}


def test_a_second_rotation_changes_nothing(database: Database, connector: ConnectorRow) -> None:
    stored(database, connector, BEFORE).save(TOKENS)
    rotated(database, connector.tenant_id)
    sealed = _config(database, connector)
    assert rotated(database, connector.tenant_id) == Resealed(0, 0)
    assert _config(database, connector) == sealed


def test_the_legacy_format_is_written_where_it_is_asked_for(database: Database, connector: ConnectorRow) -> None:
    stored(database, connector, BEFORE).save(TOKENS)
    ring = KeyRing(NEW, [OLD], "v1")
    rotated(database, connector.tenant_id, ring)
    assert take_census(database, ring, connector.tenant_id).sealed == {SealedBy("v1", key_id(NEW)): 2}
    assert not any(text.startswith("gtmc2") for text in _config(database, connector)["secrets"].values())


@pytest.mark.parametrize("text", ["gtmc2.0123abcd.AAAA", "plain text", "gtmc2.x.y", ""])
def test_a_secret_that_does_not_open_is_named_and_its_neighbours_are_sealed_again(
    database: Database, connector: ConnectorRow, superuser: psycopg.Connection[Any], text: str
) -> None:
    stored(database, connector, BEFORE).save(TOKENS)
    plant(superuser, connector, "api_key", text)
    assert rotated(database, connector.tenant_id).secrets == 2
    census = take_census(database, BOTH, connector.tenant_id)
    code = "unknown_sealing_key" if "0123abcd" in text else "sealed_secret_damaged"
    assert census.unopened == [Unopened(connector.tenant_id, "salesforce", "api_key", code)]
    assert census.left(BOTH) == 1
    assert _config(database, connector)["secrets"]["api_key"] == text


def test_a_token_renewed_between_reading_and_writing_is_kept(
    database: Database, connector: ConnectorRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(database, connector, BEFORE).save(TOKENS)
    replace = rotation._replace
    renewals: list[int] = []

    def late(*arguments: Any) -> list[str]:
        if not renewals:
            renewals.append(1)
            stored(database, connector, BEFORE).renew(TOKENS["access_token"], lambda _: {"access_token": Secret("new")})
        return replace(*arguments)

    monkeypatch.setattr(rotation, "_replace", late)
    assert rotated(database, connector.tenant_id).secrets == 2
    assert stored(database, connector, AFTER).read() == {**TOKENS, "access_token": Secret("new")}


def test_no_renewal_is_lost_while_keys_go_back_and_forth(database: Database, connector: ConnectorRow) -> None:
    tenant, turns = connector.tenant_id, 25
    credentials = stored(database, connector, BOTH)
    credentials.save({"access_token": Secret("0"), "refresh_token": Secret("r0")})
    rings = (KeyRing(OLD, [NEW]), BOTH)

    def renew() -> None:
        for number in range(turns):
            credentials.renew(
                Secret(str(number)),
                partial(_next, number + 1),
            )

    with ThreadPoolExecutor(2) as pool:
        renewing = pool.submit(renew)
        while not renewing.done():
            for ring in rings:
                rotated(database, tenant, ring)
        renewing.result()
    rotated(database, tenant)
    held = stored(database, connector, AFTER).read()
    assert {name: value.reveal() for name, value in held.items()} == {
        "access_token": str(turns),
        "refresh_token": f"r{turns}",
    }


def test_many_connectors_of_a_tenant_are_sealed_in_batches(
    database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    for kind in ("salesforce", "customerio", "delivrai", "o365", "fathom"):
        stored(database, add_connector(database, tenant, kind), BEFORE).save(TOKENS)
    assert rotated(database, tenant) == Resealed(connectors=5, secrets=10)
    with database.tenant(tenant) as handle:
        entries = [one for one in audit_entries.list_entries(handle, tenant, 50) if one.action == "keys.rotate"]
    assert [one.changes["connectors"] for one in entries] == [1, 2, 2]
    assert {(one.actor, one.changes["sealed_by"]) for one in entries} == {("cli:anna", key_id(NEW))}


def test_the_key_of_the_tombstones_is_sealed_again_too(database: Database, tenant: str) -> None:
    place = SealContext(tenant, "erasure", "tombstone_key")
    with database.tenant(tenant) as handle:
        tombstones.add(handle, BEFORE, tenant, "kim@example.com", {}, actor="cli:anna")
        before = BEFORE.open(_tombstone_key(handle), place)
    assert take_census(database, BOTH, tenant).left(BOTH) == 1
    assert rotated(database, tenant).secrets == 1
    assert take_census(database, AFTER, tenant).left(AFTER) == 0
    with database.tenant(tenant) as handle:
        assert AFTER.open(_tombstone_key(handle), place) == before


def _next(number: int, _: Any) -> dict[str, Secret]:
    return {"access_token": Secret(str(number)), "refresh_token": Secret(f"r{number}")}


def _tombstone_key(handle: Connection) -> str:
    return str(handle.exec_driver_sql("SELECT sealed FROM erasure_keys").scalar_one())


def _config(database: Database, connector: ConnectorRow) -> dict[str, Any]:
    with database.tenant(connector.tenant_id) as handle:
        found: dict[str, Any] = handle.exec_driver_sql("SELECT config FROM connectors").scalar_one()
    return found
