"""A preview shows what rows look like and nobody's data."""

from __future__ import annotations

import dagster as dg
import pytest

from gtmc_pipelines.defs.preview import preview_columns, preview_rows, with_preview
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines_tests.defs.check_scene import CheckScene, sheet

PEOPLE = dg.AssetKey(["salesforce", "canonical", "people"])
CONTACTS = dg.AssetKey(["salesforce", "raw", "contacts"])
SECRETS = ("Kim", "Berg", "kim.berg", "5550100", "Nickname")


@pytest.fixture
def scene(database: Database, tenant: str) -> CheckScene:
    """Seven people of one tenant, raw and canonical."""
    scene = CheckScene.of(database, tenant)
    sync = scene.synced(1, contacts=sheet(7))
    raw = ({"LastName": "Berg", "Email": "kim.berg@example.com", "Nickname": "Kim"} for _ in range(7))
    scene.landed(raw, stream="contacts", sync=sync)
    with database.tenant(tenant) as handle:
        for number in range(7):
            run(
                handle,
                "INSERT INTO people (id, tenant_id, source, external_id, first_name, last_name, email, title, phone,"
                " source_data) VALUES (%(id)s, %(tenant)s, 'salesforce', %(external)s, 'Kim', 'Berg',"
                " 'kim.berg@example.com', 'Head of | Pipes', '+49 30 5550100', '{\"Nickname\": \"Kim\"}')",
                {"id": f"{tenant}-{number}", "tenant": tenant, "external": f"003{number}"},
            )
    return scene


@pytest.mark.services
@pytest.mark.parametrize("key", [PEOPLE, CONTACTS], ids=["canonical", "raw"])
def test_five_rows_are_shown_and_nobody_can_be_told_from_them(
    key: dg.AssetKey, scene: CheckScene, database: Database
) -> None:
    event = dg.AssetMaterialization(key, partition=scene.tenant, metadata={"created": 7})
    shown = with_preview(database, event).metadata
    assert isinstance(shown["preview"], dg.TableMetadataValue)
    assert shown["created"].value == 7
    assert len(shown["preview"].records) == 5
    assert not [secret for secret in SECRETS if secret in str(shown["preview"])]


@pytest.mark.services
def test_enough_is_left_to_recognise_a_row(scene: CheckScene, database: Database) -> None:
    first = preview_rows(database, PEOPLE, scene.tenant)[0]
    assert first["external_id"] == "0036"
    assert first["email"] == "k•••@e•••.com"
    assert first["last_name"] == "B•••"


@pytest.mark.services
def test_columns_that_are_empty_make_room_for_filled_ones(scene: CheckScene, database: Database) -> None:
    shown = list(preview_rows(database, PEOPLE, scene.tenant)[0])
    assert shown == ["external_id", "first_name", "last_name", "email", "phone"]
    with database.tenant(scene.tenant) as handle:
        run(
            handle,
            "UPDATE people SET email = NULL, company_name = 'Pipes', account_external_id = '001A'"
            " WHERE tenant_id = %(t)s",
            {"t": scene.tenant},
        )
    shown = list(preview_rows(database, PEOPLE, scene.tenant)[0])
    assert shown == ["external_id", "first_name", "last_name", "phone", "account_external_id"]


@pytest.mark.services
@pytest.mark.parametrize(
    ("key", "table", "gone"),
    [(PEOPLE, "people", "deleted_at = now()"), (CONTACTS, "raw.salesforce_contacts", "deleted = true")],
    ids=["canonical", "raw"],
)
def test_a_full_sync_states_the_rows_that_are_there_and_an_incremental_one_does_not(
    key: dg.AssetKey, table: str, gone: str, scene: CheckScene, database: Database
) -> None:
    with database.tenant(scene.tenant) as handle:
        one = f"external_id = (SELECT min(external_id) FROM {table} WHERE tenant_id = %(t)s)"
        run(handle, f"UPDATE {table} SET {gone} WHERE tenant_id = %(t)s AND {one}", {"t": scene.tenant})
    stated = {}
    for kind in ("full", "incremental"):
        event = dg.AssetMaterialization(key, partition=scene.tenant, metadata={"sync_type": kind, "unchanged": 7})
        stated[kind] = with_preview(database, event).metadata.get("dagster/partition_row_count")
    assert stated == {"full": dg.MetadataValue.int(6), "incremental": None}


@pytest.mark.services
def test_a_tenant_without_rows_has_no_preview(tenant: str, database: Database) -> None:
    event = dg.AssetMaterialization(PEOPLE, partition=tenant)
    assert with_preview(database, event) is event


@pytest.mark.services
def test_no_free_text_stays_in_dagster_wherever_a_mapping_has_put_it(scene: CheckScene, database: Database) -> None:
    said = "Ask Kim Berg about this"
    with database.tenant(scene.tenant) as handle:
        texts = "account_external_id = %(said)s, converted_to = %(said)s, title = %(said)s, company_name = %(said)s"
        run(
            handle,
            f"UPDATE people SET email = NULL, {texts} WHERE tenant_id = %(t)s",
            {"t": scene.tenant, "said": said},
        )
    shown = preview_rows(database, PEOPLE, scene.tenant)[0]
    assert shown["account_external_id"] == shown["converted_to"] == "•••"
    assert not [word for word in said.split() if word in str(shown)]


@pytest.mark.parametrize("entity", list(Entity))
def test_columns_that_hold_free_text_or_json_are_left_out(entity: Entity) -> None:
    shown = set(preview_columns(ENTITIES[entity]))
    free = {"name", "title", "company_name", "industry", "stage", "content_url", "content_topic", "transcript"}
    assert not shown & (free | {"summary", "participants", "source_data", "properties", "sentiment"})
    assert len(shown) >= 2
