"""Saved mappings and syncs: used at once, and a broken one is the trouble of its own streams only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage.mappings import save_mapping
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines_tests.workflows.conftest import Stage
from gtmc_pipelines_tests.workflows.scripted import STAMP, people

pytestmark = pytest.mark.services

_ACCOUNT = SourceRecord("A1", b'{"Name": "Acme"}', STAMP)


def _save(stage: Stage, *entries: dict[str, Any]) -> None:
    save_mapping(stage.database, stage.tenant, stage.row.id, Entity.PERSON, entries)


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
