"""Saved mappings and syncs: used at once, and a broken one is the trouble of its own streams only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage.mappings import save_mapping
from gtmc_pipelines.storage.statements import rows, run
from gtmc_pipelines_tests.workflows.conftest import Stage
from gtmc_pipelines_tests.workflows.scripted import STAMP, people

pytestmark = pytest.mark.services

_ACCOUNT = SourceRecord("A1", b'{"Name": "Acme"}', STAMP)


def _save(stage: Stage, *entries: dict[str, Any]) -> None:
    save_mapping(stage.database, stage.tenant, stage.row.id, Entity.PERSON, entries)


def _put_legacy(stage: Stage, document: Any) -> None:
    with stage.database.tenant(stage.tenant) as handle:
        values = {"document": json.dumps(document), "id": stage.row.id}
        run(handle, "UPDATE connectors SET field_mappings = %(document)s::jsonb WHERE id = %(id)s", values)


def test_the_next_sync_uses_what_was_saved(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(3)]}
    _save(stage, {"sourceField": "Name", "targetField": "title", "transform": "uppercase"})
    assert stage.sync().is_success
    with stage.database.tenant(stage.tenant) as handle:
        found = rows(handle, "SELECT title, last_name, email FROM people ORDER BY external_id")
    assert found[0] == {"title": "PERSON 0", "last_name": None, "email": None}


@pytest.mark.parametrize(
    "entry",
    [
        {"sourceField": "Name", "targetField": "lastName", "transform": "custom", "customTransform": "trim("},
        {"sourceField": "Name", "targetField": "lastName", "transform": "custom", "customTransform": 5},
        {"sourceField": "Name", "targetField": "gone"},
        {"targetField": "lastName"},
        "no entry at all",
    ],
)
def test_a_saved_mapping_that_no_longer_compiles_fails_its_streams_and_no_other(stage: Stage, entry: Any) -> None:
    stage.connector.script = {"accounts": [[_ACCOUNT]], "contacts": [people(3)]}
    with stage.database.tenant(stage.tenant) as handle:
        handle.exec_driver_sql(
            "INSERT INTO field_mappings (tenant_id, connector_id, entity_type, mappings)"
            " VALUES (%s, %s, 'person', jsonb_build_array(%s::jsonb))",
            (stage.tenant, stage.row.id, json.dumps(entry)),
        )
    outcome = stage.sync(SyncMode.FULL)
    assert outcome.outcome is Outcome.FAILED
    assert set(outcome.failed_streams) == {"contacts", "leads"}
    told = outcome.failed_streams["contacts"]
    assert "The saved mapping of person can't be used for contacts: " in told
    assert f"gtmc mappings reset --tenant {stage.tenant}" in told
    assert stage.ids("accounts") == ["A1"]
    assert {stream for stream, _ in stage.connector.reads} & {"contacts", "leads"} == set()


def test_a_sync_maps_by_the_legacy_set_until_a_mapping_is_saved(stage: Stage) -> None:
    stage.connector.script = {"accounts": [[_ACCOUNT]], "contacts": [people(1)]}
    _put_legacy(stage, {"Account": [{"sourceField": "Name", "targetField": "name", "transform": "uppercase"}]})
    assert stage.sync(SyncMode.FULL).is_success
    with stage.database.tenant(stage.tenant) as handle:
        assert rows(handle, "SELECT name FROM accounts") == [{"name": "ACME"}]


def test_a_legacy_set_that_is_not_understood_fails_its_streams_and_writes_no_row_by_the_defaults(stage: Stage) -> None:
    stage.connector.script = {"accounts": [[_ACCOUNT]], "contacts": [people(3)]}
    _put_legacy(stage, {"person": [{"sourceField": "Name", "targetField": "gone"}]})
    outcome = stage.sync(SyncMode.FULL)
    assert set(outcome.failed_streams) == {"contacts", "leads"}
    told = outcome.failed_streams["contacts"]
    assert "The legacy mapping of Salesforce can't be used for the person: 'person', entry 1, targetField" in told
    assert f"gtmc mappings import-legacy --tenant {stage.tenant} --connector salesforce" in told
    assert (stage.ids("accounts"), stage.ids("people")) == (["A1"], [])
