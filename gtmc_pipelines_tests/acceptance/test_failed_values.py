"""An optional value that can't be read costs its column, at every vendor; and is read once the mapping is right."""

from dataclasses import replace

import pytest

from gtmc_pipelines.connectors.registry import CONNECTORS
from gtmc_pipelines.mapping.entry import Transform
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.storage.failed_values import list_failed
from gtmc_pipelines.storage.mappings import reset_mapping, save_mapping
from gtmc_pipelines_tests.acceptance.cases import each_subject
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Subject

pytestmark = pytest.mark.services

OPTIONAL, COLUMN = "personExternalId", "person_external_id"
TABLE = ENTITIES[Entity.ACTIVITY].table
UNREADABLE = "number(text(value) + ' n/a')"


@each_subject
def test_an_optional_value_that_cannot_be_read_costs_its_column_only(stage: Stage, subject: Subject) -> None:
    entries = [
        replace(entry, transform=Transform.CUSTOM, custom_transform=UNREADABLE)
        if entry.target_field == OPTIONAL
        else entry
        for entry in CONNECTORS[subject.type].default_mappings()[Entity.ACTIVITY]
    ]
    documented = [entry.as_dict() for entry in entries]
    save_mapping(stage.database, stage.tenant, stage.row.id, Entity.ACTIVITY, documented)
    counts = sum(map(Counts.of, stage.completed(SyncMode.FULL).counts.values()), Counts())
    assert (counts.failed, stage.letters) == (0, [])
    differing = {each.rpartition(": ")[2] for each in stage.verdict().differences}
    assert differing <= {f"{COLUMN} differs"}
    found = list_failed(stage.database, stage.tenant, limit=100_000)
    assert {(each.table_name, each.column_name, each.reason_code) for each in found} == {
        (TABLE, COLUMN, "custom_transform")
    }
    live = [key for key, row in stage.canonical(TABLE).items() if not row["deleted_at"]]
    assert len(found) == len(live) > 0

    reset_mapping(stage.database, stage.tenant, stage.row.id, Entity.ACTIVITY)
    stage.completed(SyncMode.FULL)
    stage.assert_true()
    assert list_failed(stage.database, stage.tenant) == []
