"""Fields of a Salesforce org that are hidden, come back, or change without a stamp."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gtmc_pipelines.connectors.salesforce import recalculated
from gtmc_pipelines.connectors.salesforce.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.defs.checks.catalog import subjects_of
from gtmc_pipelines.defs.checks.evidence import Evidence
from gtmc_pipelines.defs.checks.fields import missing_fields
from gtmc_pipelines.defs.checks.verdict import Finding
from gtmc_pipelines.defs.metadata import facts_of, sync_metadata
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.storage.mappings import save_mapping
from gtmc_pipelines.storage.renormalize import raw_page
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines.storage.sync_history import require_sync
from gtmc_pipelines_tests.acceptance.conftest import MakeStage
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Change, Subject
from gtmc_pipelines_tests.acceptance.subjects import SUBJECTS

SALESFORCE = ConnectorType.SALESFORCE
TITLE = {"fault": "hidden_field", "object": "Contact", "field": "Title"}

pytestmark = [
    pytest.mark.services,
    pytest.mark.parametrize("subject", [one for one in SUBJECTS if one.type is SALESFORCE], ids=["salesforce"]),
]


def _findings(stage: Stage) -> list[Finding]:
    evidence = Evidence(stage.database, SALESFORCE, DEFAULT_MAPPINGS, datetime.now(UTC))
    contacts = next(one for one in subjects_of(SALESFORCE) if one.stream_names == ("contacts",))
    return [one for one in missing_fields(evidence, contacts).findings if one.tenant == stage.tenant]


def _titles(stage: Stage) -> dict[str, Any]:
    return {key: each["title"] for key, each in stage.canonical("people").items() if key.startswith("003")}


def test_the_first_sync_that_reads_nothing_notices_a_hidden_field(stage: Stage, subject: Subject) -> None:
    stage.completed()
    assert not _findings(stage)
    stage.site.break_("", **TITLE)
    assert stage.completed().totals.changed == 0
    (finding,) = _findings(stage)
    assert "`Title`" in finding.seen
    assert "take it out of the mapping" in finding.remedy


def test_what_changed_while_a_field_was_hidden_is_read_again_when_it_is_back(stage: Stage, subject: Subject) -> None:
    stage.completed()
    known = _titles(stage)
    stage.site.break_("", **TITLE)
    changed = stage.site.mutate(Change("Contact", "update", fields={"Title": "Changed while hidden"}))
    made = stage.site.mutate(Change("Contact", "create", fields={"LastName": "New", "Title": "Made while hidden"}))
    stage.completed()
    now = _titles(stage)
    assert {key: now[key] for key in known} == known
    assert {now[key] for key in made} == {None}
    landed = {record.external_id: json.loads(record.payload) for record in _raw(stage)}
    assert {key: landed[key].get("Title") for key in known} == known, "what is made of the raw rows keeps them too"
    with stage.database.tenant(stage.tenant) as handle:  # the overlap of an incremental read would hide the cure
        ahead = (datetime.now(UTC) + timedelta(minutes=20)).isoformat()
        run(handle, "UPDATE stream_cursors SET watermark = %(at)s WHERE stream = 'contacts'", {"at": ahead})
    stage.site.mend()
    stage.completed()
    now = _titles(stage)
    assert {now[key] for key in changed} == {"Changed while hidden"}
    assert {now[key] for key in made} == {"Made while hidden"}
    assert not _findings(stage)


def test_removing_the_mapping_entry_ends_it(stage: Stage, subject: Subject) -> None:
    stage.completed()
    stage.site.break_("", **TITLE)
    stage.completed()
    assert _findings(stage)
    entries = [entry.as_dict() for entry in DEFAULT_MAPPINGS[Entity.PERSON] if entry.source_field != "Title"]
    save_mapping(stage.database, stage.tenant, stage.row.id, Entity.PERSON, entries)
    assert not _findings(stage)
    stage.completed(SyncMode.FULL)
    assert set(_titles(stage).values()) == {None}
    assert all(b"Title" not in one.payload for one in _raw(stage))


def _raw(stage: Stage) -> list[Any]:
    contacts = next(stage.subject.stream(case) for case in stage.subject.streams if case.name == "contacts")
    return raw_page(stage.database, stage.tenant, contacts, "", 10_000)


def test_calculated_fields_are_refreshed_once_a_day(
    make_stage: MakeStage, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalculated, "PAGE_RECORDS", 200)
    stage = make_stage(GTMC_SEGMENT_RECORDS=1)
    entry = MappingEntry(
        "Id", "sourceData", Transform.CUSTOM, "{'employees': record.Account_Employees__c}", stream="contacts"
    )
    entries = [one.as_dict() for one in (*DEFAULT_MAPPINGS[Entity.PERSON], entry)]
    save_mapping(stage.database, stage.tenant, stage.row.id, Entity.PERSON, entries)
    stage.completed()
    before = stage.versions()["people"]
    accounts = stage.site.mutate(Change("Account", "update", count=3, fields={"NumberOfEmployees": 4242}))
    stage.completed()
    assert stage.versions()["people"] == before, "it isn't time yet"
    old = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    with stage.database.tenant(stage.tenant) as handle:
        assert run(handle, "UPDATE stream_cursors SET watermark = %(at)s WHERE slice = '~calculated'", {"at": old}) == 1
    outcome = stage.completed()
    rows_now = stage.canonical("people")
    theirs = {
        key for key, each in rows_now.items() if each["account_external_id"] in accounts and key.startswith("003")
    }
    live = {key for key in theirs if not rows_now[key]["deleted_at"]}
    assert live
    assert {rows_now[key]["source_data"]["employees"] for key in live} == {4242}
    changed = {key for key, version in stage.versions()["people"].items() if before[key] != version}
    assert changed == live, "only the rows that differ are written"
    assert outcome.totals.updated == len(live)
    assert stage.completed().totals.changed == 0
    said = sync_metadata(
        facts_of(require_sync(stage.database, stage.tenant, outcome.sync_log_id), url=""), ("contacts",)
    )
    assert 0 <= float(str(said["calculated_fields_age_hours"].value)) < 1
    assert "calculated_fields_as_of" in said
    assert "contacts.calculated" not in str(said["next_incremental_from"].value)
