"""Each row of the troubleshooting table is found by its check, with the remedy; what is well stays green."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.defs.checks import catalog, evidence
from gtmc_pipelines.defs.checks.catalog import CHECKS, subjects_of
from gtmc_pipelines.defs.checks.connection import authentication, freshness, stuck_on_syncing
from gtmc_pipelines.defs.checks.fields import drifted_fields, missing_fields
from gtmc_pipelines.defs.checks.records import balance_sheet, failed_share, low_record_count
from gtmc_pipelines.defs.checks.verdict import Finding, Verdict, evaluation, summary
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.storage.connector_states import set_schedule
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import save_mapping
from gtmc_pipelines.storage.statements import rows, run
from gtmc_pipelines_tests.defs.check_scene import SALESFORCE, CheckScene, sheet

services = pytest.mark.services
CONTACTS, PEOPLE = "raw/contacts", "canonical/people"
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@pytest.fixture
def scene(database: Database, tenant: str) -> CheckScene:
    return CheckScene.of(database, tenant)


def test_every_asset_has_every_check_and_each_states_promise_and_remedy() -> None:
    specs = defs.get_repository_def().asset_graph.asset_check_keys
    salesforce = {key for key in specs if key.asset_key.path[0] == "salesforce"}
    assert {(key.asset_key, key.name) for key in salesforce} == {
        (subject.key, check.name) for subject in subjects_of(SALESFORCE) for check in CHECKS
    }
    assert all(check.promise.endswith(".") and "**If not:**" in check.description for check in CHECKS)


@services
def test_a_sheet_that_does_not_add_up_is_our_bug_and_names_the_sync(scene: CheckScene) -> None:
    scene.synced(2, contacts=sheet(10), leads=sheet(4))
    assert scene.found(balance_sheet, CONTACTS) == []
    bad = scene.synced(1, contacts={"read": 10, "created": 9})
    (finding,) = scene.found(balance_sheet, CONTACTS)
    assert bad in finding.seen
    assert f"gtmc syncs show {bad}" in finding.remedy
    assert scene.found(balance_sheet, "raw/leads") == []
    assert [found.stream for found in scene.found(balance_sheet, PEOPLE)] == ["contacts"]
    assert scene.ask(balance_sheet, CONTACTS).severity is ERROR


@services
@pytest.mark.parametrize(
    ("cron", "timezone", "hours_ago", "is_late"),
    [
        (None, "UTC", 6, False),
        (None, "UTC", 7, True),
        ("0 * * * *", "UTC", 1.9, False),
        ("0 * * * *", "UTC", 2.1, True),
        ("0 2 * * *", "UTC", 22, False),
        ("0 2 * * *", "UTC", 23, True),
        ("0 2 * * *", "America/New_York", 22, True),
        ("0 7 * * *", "America/New_York", 30, False),
    ],
)
def test_a_tenant_is_late_by_its_own_schedule(
    cron: str | None, timezone: str, hours_ago: float, is_late: bool, database: Database, tenant: str
) -> None:
    scene = CheckScene.of(database, tenant, datetime(2031, 1, 8, 12, 30, tzinfo=UTC))
    scene.synced(hours_ago, contacts=sheet(1))
    if cron:
        set_schedule(database, scene.tenant, scene.connector.id, cron, timezone)
    assert bool(scene.found(freshness, CONTACTS)) is is_late


@services
def test_a_late_tenant_is_listed_with_whose_turn_it_is(scene: CheckScene) -> None:
    scene.synced(40, contacts=sheet(1))
    (idle,) = scene.found(freshness, CONTACTS)
    assert "40 hours" in idle.seen
    assert "gtmc doctor" in idle.remedy
    scene.status(ConnectorStatus.ERROR, error_kind="reauthorize", error="The token was revoked.")
    assert f"gtmc connectors connect --tenant {scene.tenant}" in scene.found(freshness, CONTACTS)[0].remedy
    scene.status(ConnectorStatus.ERROR, error_kind="broken", error="The page made no sense. Tell us.")
    assert scene.found(freshness, CONTACTS)[0].remedy == "The page made no sense. Tell us."


@services
def test_a_stream_left_out_of_every_sync_makes_its_own_assets_late_only(scene: CheckScene) -> None:
    scene.age(created_at=scene.now - timedelta(days=9), updated_at=scene.now - timedelta(days=9))
    scene.synced(1, contacts=sheet(1))
    assert scene.found(freshness, CONTACTS) == []
    assert "never" in scene.found(freshness, "raw/leads")[0].seen
    assert "never" in scene.found(freshness, PEOPLE)[0].seen


@services
def test_a_tenant_connected_just_now_is_not_late(scene: CheckScene) -> None:
    scene.age(created_at=scene.now - timedelta(days=90))
    assert scene.found(freshness, CONTACTS) == []


@services
def test_a_tenant_that_waits_for_its_quota_is_not_late(scene: CheckScene, database: Database) -> None:
    scene.synced(40, contacts=sheet(1))
    with database.tenant(scene.tenant) as handle:
        rows(
            handle,
            "UPDATE sync_logs SET deferred_until = %(until)s WHERE tenant_id = %(tenant)s RETURNING id",
            {"until": scene.now + timedelta(hours=3), "tenant": scene.tenant},
        )
    assert scene.found(freshness, CONTACTS) == []
    assert scene.ask(freshness, CONTACTS).numbers["waiting_for_quota"] >= 1


@services
def test_a_full_sync_that_reads_far_less_than_usual_asks_for_a_full_sync(scene: CheckScene) -> None:
    for hours, read in ((48, 1_000), (36, 1_010), (24, 990)):
        scene.synced(hours, mode="full", contacts=sheet(read))
    assert scene.found(low_record_count, CONTACTS) == []
    scene.synced(1, mode="full", contacts=sheet(120))
    (finding,) = scene.found(low_record_count, CONTACTS)
    assert "read 120 records; usual are 1,000" in finding.seen
    assert "salesforce_full_sync" in finding.remedy


@services
def test_incremental_syncs_that_fall_silent_are_noticed_and_quiet_ones_are_not(scene: CheckScene) -> None:
    for hours in range(20, 10, -1):
        scene.synced(hours, contacts=sheet(5), leads=sheet(hours % 2))
    for hours in range(4, 0, -1):
        scene.synced(hours, contacts=sheet(0), leads=sheet(0))
    assert "the last 4 incremental syncs read nothing" in scene.found(low_record_count, CONTACTS)[0].seen
    assert scene.found(low_record_count, "raw/leads") == []


@services
def test_failed_records_are_counted_with_their_most_frequent_reason(scene: CheckScene) -> None:
    scene.synced(3, contacts=sheet(100, failed=100), leads=sheet(100))
    scene.synced(1, contacts=sheet(100, failed=5))
    for code in ("required_missing", "required_missing", "not_a_date", "required_missing", "not_a_date"):
        scene.letter("contacts", code)
    (finding,) = scene.found(failed_share, CONTACTS)
    assert "5 of 100 records failed (5%), mostly `required_missing`" in finding.seen
    assert f"gtmc dead-letters list --tenant {scene.tenant}" in finding.remedy
    assert f"gtmc dead-letters replay --tenant {scene.tenant} --connector salesforce" in finding.remedy
    assert scene.found(failed_share, "raw/leads") == []


@services
def test_failed_records_that_were_replayed_are_no_trouble_any_more(scene: CheckScene) -> None:
    scene.synced(1, contacts=sheet(100, failed=3))
    for _ in range(3):
        scene.letter("contacts", "required_missing")
    assert "3 of 100 records failed" in scene.found(failed_share, CONTACTS)[0].seen
    with scene.database.tenant(scene.tenant) as handle:
        run(handle, "UPDATE dead_letters SET replayed_at = now()")
    assert scene.found(failed_share, CONTACTS) == []


@services
def test_a_replay_is_no_sync_to_the_checks(scene: CheckScene) -> None:
    scene.synced(30, contacts=sheet(100))
    scene.synced(1, contacts=sheet(3, failed=3))
    with scene.database.tenant(scene.tenant) as handle:
        run(handle, "UPDATE sync_logs SET trigger = 'replay' WHERE completed_at > now() - interval '2 hours'")
    history = scene.evidence().histories[scene.tenant, "contacts"]
    assert (history.syncs, history.last_failed) == (1, 0)


@services
def test_re_normalising_makes_no_tenant_fresh_and_no_count_usual_but_its_sheet_must_add_up(scene: CheckScene) -> None:
    scene.age(created_at=scene.now - timedelta(days=30))
    for hours, read in ((200, 1_000), (150, 1_000), (100, 1_000), (72, 100)):
        scene.synced(hours, mode="full", contacts=sheet(read))
    assert "read 100 records" in scene.found(low_record_count, CONTACTS)[0].seen
    for minutes in range(1, 20):
        scene.synced(minutes / 60, mode="full", trigger="renormalize", contacts=sheet(1_000))
    assert "read 100 records" in scene.found(low_record_count, CONTACTS)[0].seen
    assert "3 days" in scene.found(freshness, CONTACTS)[0].seen
    assert scene.found(balance_sheet, CONTACTS) == []
    bad = scene.synced(0, mode="full", trigger="renormalize", contacts={"read": 10, "created": 9})
    assert bad in scene.found(balance_sheet, CONTACTS)[0].seen


@services
def test_a_daily_sync_of_the_night_the_clocks_go_back_is_not_late(database: Database, tenant: str) -> None:
    scene = CheckScene.of(database, tenant, datetime(2026, 10, 25, 8, tzinfo=UTC))
    scene.age(created_at=scene.now - timedelta(days=30), updated_at=scene.now - timedelta(days=30))
    set_schedule(database, scene.tenant, scene.connector.id, "30 2 * * *", "Europe/Berlin")
    scene.synced(7.4, contacts=sheet(1))  # 02:36, for the first time
    assert scene.found(freshness, CONTACTS) == []


@services
def test_re_normalising_hides_no_quota_that_is_waited_for(scene: CheckScene) -> None:
    deferred = scene.synced(40, contacts=sheet(1))
    scene.defer(deferred, scene.now + timedelta(hours=3))
    scene.synced(39, mode="full", trigger="renormalize", contacts=sheet(1))
    assert scene.found(freshness, CONTACTS) == []


@services
@pytest.mark.parametrize(("cron", "timezone"), [("every day", "UTC"), ("0 3 * * *", "Mars/Base"), ("0 3 * * *", "US")])
def test_a_schedule_that_cannot_be_read_is_its_tenants_own_finding(
    cron: str, timezone: str, scene: CheckScene, database: Database
) -> None:
    scene.synced(1, contacts=sheet(1))
    set_schedule(database, scene.tenant, scene.connector.id, cron, timezone)
    (finding,) = scene.found(freshness, CONTACTS)
    assert "can't be read" in finding.seen
    assert f"gtmc connectors schedule --tenant {scene.tenant} --connector salesforce" in finding.remedy
    set_schedule(database, scene.tenant, scene.connector.id, None)


@services
def test_a_tenant_that_must_reconnect_is_told_the_command(scene: CheckScene) -> None:
    scene.status(ConnectorStatus.ERROR, error_kind="retry", error="The vendor was down.")
    assert scene.found(authentication, CONTACTS) == []
    scene.status(ConnectorStatus.ERROR, error_kind="reauthorize", error="The refresh token was revoked.")
    (finding,) = scene.found(authentication, CONTACTS)
    assert finding.seen == "The refresh token was revoked."
    assert f"gtmc connectors connect --tenant {scene.tenant} --connector salesforce" in finding.remedy


@services
@pytest.mark.parametrize(("minutes", "is_stuck"), [(2, False), (30, True)])
def test_a_connector_on_syncing_that_no_workflow_holds_is_stuck(
    minutes: int, is_stuck: bool, scene: CheckScene
) -> None:
    scene.status(ConnectorStatus.SYNCING)
    scene.age(updated_at=scene.now - timedelta(minutes=minutes))
    found = scene.found(stuck_on_syncing, CONTACTS)
    assert bool(found) is is_stuck
    assert all("Temporal UI" in finding.remedy for finding in found)


@services
def test_a_required_field_that_is_not_filled_is_missing_and_an_unused_default_is_not(scene: CheckScene) -> None:
    sync = scene.synced(1, contacts=sheet(12))
    scene.first_in_the_sample()
    scene.landed(({"LastName": "B", "Phone": None} for _ in range(12)), stream="contacts", sync=sync)
    assert scene.found(missing_fields, CONTACTS) == []
    scene.landed([{"LastName": None}], stream="contacts", sync=sync)
    (finding,) = scene.found(missing_fields, PEOPLE)
    assert "required `LastName` not filled in every record" in finding.seen
    assert "field mapping" in finding.remedy


@services
def test_a_field_a_tenant_mapped_itself_and_no_record_has_is_missing(scene: CheckScene, database: Database) -> None:
    own = [{"sourceField": "Nickname__c", "targetField": "firstName", "transform": "none"}]
    save_mapping(database, scene.tenant, scene.connector.id, Entity.PERSON, own)
    sync = scene.synced(1, contacts=sheet(12))
    scene.first_in_the_sample()
    scene.landed(({"LastName": "B", "Owner": {"Name": "C"}} for _ in range(12)), stream="contacts", sync=sync)
    (finding,) = scene.found(missing_fields, CONTACTS)
    assert "mapped `Nickname__c` empty in every record" in finding.seen


@services
def test_a_field_that_a_legacy_set_maps_and_no_record_has_is_missing(scene: CheckScene, database: Database) -> None:
    with database.tenant(scene.tenant) as handle:
        values = {"document": '{"person": {"firstName": "Nickname__c"}}', "id": scene.connector.id}
        run(handle, "UPDATE connectors SET field_mappings = %(document)s::jsonb WHERE id = %(id)s", values)
    sync = scene.synced(1, contacts=sheet(12))
    scene.first_in_the_sample()
    scene.landed(({"LastName": "B", "Owner": {"Name": "C"}} for _ in range(12)), stream="contacts", sync=sync)
    (finding,) = scene.found(missing_fields, CONTACTS)
    assert "mapped `Nickname__c` empty in every record" in finding.seen


@services
def test_fields_that_appear_disappear_or_change_type_are_drift(scene: CheckScene) -> None:
    old, new = (scene.synced(hours, contacts=sheet(15)) for hours in (5, 1))
    scene.first_in_the_sample()
    before = {"LastName": "B", "Phone": "1", "Score__c": "7", "Sparse__c": None}
    scene.landed((before for _ in range(15)), stream="contacts", sync=old, hours_ago=5)
    scene.landed((before for _ in range(15)), stream="contacts", sync=new)
    assert scene.found(drifted_fields, CONTACTS) == []
    newest = scene.synced(0.5, contacts=sheet(15))
    after = {"LastName": "B", "Score__c": 7, "Sparse__c": "x", "Fresh__c": 1}
    scene.landed((after for _ in range(15)), stream="contacts", sync=newest, hours_ago=-0.5)
    (finding,) = scene.found(drifted_fields, CONTACTS)
    assert finding.seen == "new: `Fresh__c`; gone: `Phone`; another type: `Score__c`."
    assert "A mapped field is among them" in finding.remedy
    assert scene.ask(drifted_fields, CONTACTS).severity is ERROR


@services
def test_a_disconnected_tenant_is_nobodys_finding(scene: CheckScene) -> None:
    scene.synced(90, contacts={"read": 10, "created": 1})
    scene.status(ConnectorStatus.DISCONNECTED)
    for check in CHECKS:
        assert scene.found(check.ask, CONTACTS) == [], check.name


@services
@pytest.mark.usefixtures("environment")
def test_all_checks_alone_are_quick_and_start_nothing(
    scene: CheckScene, database: Database, instance: dg.DagsterInstance
) -> None:
    keys = [dg.AssetCheckKey(subject.key, check.name) for subject in subjects_of(SALESFORCE) for check in CHECKS]
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection={*keys})
    began = time.perf_counter()
    result = job.execute_in_process(instance=instance)
    assert time.perf_counter() - began < 30
    assert {check.asset_check_key for check in result.get_asset_check_evaluations()} == {*keys}
    with database.tenant(scene.tenant) as handle:
        assert rows(handle, "SELECT id FROM sync_logs WHERE tenant_id = %(t)s", {"t": scene.tenant}) == []


@services
@pytest.mark.usefixtures("environment")
def test_a_check_that_meets_something_unexpected_fails_alone_and_quotes_nothing(
    scene: CheckScene, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "kim.berg@example.com is odd"

    def spoilt(*_: object) -> Verdict:
        raise ValueError(words)

    monkeypatch.setattr(catalog, "CHECKS", (replace(CHECKS[0], ask=spoilt), *CHECKS[1:]))
    keys = {dg.AssetCheckKey(subjects_of(SALESFORCE)[0].key, name) for name in ("balance_sheet", "freshness")}
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection=keys)
    result = job.execute_in_process(instance=instance)
    answers = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert "unexpected ValueError" in str(answers["balance_sheet"].description)
    assert "test_checks.py" in str(answers["balance_sheet"].metadata["place"].value)
    assert "kim.berg" not in str(answers["balance_sheet"])
    assert "unexpected" not in str(answers["freshness"].description)


@pytest.mark.parametrize(
    ("affected", "looked_at", "is_severe", "severity"),
    [
        (1, 3, False, WARN),
        (2, 3, False, ERROR),
        (6, 2_000, False, WARN),
        (200, 2_000, False, ERROR),
        (1, 9, True, ERROR),
    ],
)
def test_a_few_tenants_own_matter_is_a_warning_and_most_of_them_is_an_error(
    affected: int, looked_at: int, is_severe: bool, severity: dg.AssetCheckSeverity
) -> None:
    findings = [Finding(f"t{number}", "Seen.") for number in range(affected)]
    assert Verdict(looked_at, findings, is_severe=is_severe).severity is severity


def _records(stored: dg.AssetCheckEvaluation) -> Sequence[dg.TableRecord]:
    found = stored.metadata["findings"]
    assert isinstance(found, dg.TableMetadataValue)
    return found.records


def test_an_evaluation_says_the_first_cause_lists_the_tenants_and_has_numbers_that_plot() -> None:
    findings = [Finding(f"t{number}", "It | broke.", "Mend it.", "contacts") for number in range(30)]
    stored = evaluation(dg.AssetKey("a"), "b", Verdict(100, findings, numbers={"share": 0.3, "rows": 3}))
    assert stored.description == "30 of 100 tenants. t0, contacts: It | broke. Mend it."
    metadata: dict[str, Any] = {name: value.value for name, value in stored.metadata.items()}
    assert (metadata["affected"], metadata["looked_at"], metadata["share"], metadata["rows"]) == (30, 100, 0.3, 3)
    table = [record.data for record in _records(stored)]
    first = {"tenant": "t0", "stream": "contacts", "what was seen": "It | broke.", "what to do": "Mend it."}
    assert (len(table), table[0], metadata["more_findings"]) == (20, first, 10)
    assert not stored.passed


def test_a_runs_log_ends_with_how_many_checks_passed_and_which_did_not() -> None:
    def found(name: str, *findings: Finding) -> dg.AssetCheckEvaluation:
        return evaluation(dg.AssetKey("a"), name, Verdict(1, findings))

    late = Finding("acme", "late.")
    assert summary([found("freshness"), found("fields")]) == "All 2 checks passed."
    told = summary([found("freshness", late), found("freshness", late), found("fields")])
    assert told == "1 of 3 checks passed; failed: freshness on 2 assets."


def test_the_table_of_findings_has_no_empty_columns() -> None:
    stored = evaluation(dg.AssetKey("a"), "b", Verdict(1, [Finding("acme", "It broke: mend it.")]))
    (record,) = _records(stored)
    assert record.data == {"tenant": "acme", "what was seen": "It broke: mend it."}


@pytest.mark.parametrize(
    "spoilt", [[{"no": "field"}], ["text"], [None], [{"sourceField": "A", "targetField": "b", "transform": "?"}]]
)
def test_a_tenants_unreadable_mapping_is_no_mapping_to_the_checks(spoilt: list[object]) -> None:
    assert evidence._entries(spoilt) == ()
