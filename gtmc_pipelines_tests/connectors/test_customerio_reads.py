"""What is read of the imitated Customer.io is what the workspace holds, however often it is resumed."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from gtmc_pipelines.connectors.customerio.connector import CustomerioConnector
from gtmc_pipelines.connectors.customerio.streams import READERS, read_stream
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines_tests.connectors.customerio_scene import Workspace, rows_of
from gtmc_pipelines_tests.connectors.vendor_scene import full, records_of, since, soon

pytestmark = pytest.mark.services

STREAMS = list(READERS)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_full_read_is_the_truth(workspace: Workspace, stream: str) -> None:
    records = records_of(workspace.pages(stream, full()))
    assert len({record.external_id for record in records}) == len(records)
    rows, truth = rows_of(stream, records), workspace.truth()["people" if stream == "people" else "activities"]
    if stream != "people":
        truth = {key: row for key, row in truth.items() if (":" in key) is (stream == "email_events")}
    assert rows.keys() == truth.keys()
    for key, row in truth.items():
        assert {column: rows[key].get(column) for column in row} == row


@pytest.mark.parametrize("stream", STREAMS)
def test_a_read_resumed_at_any_checkpoint_gives_exactly_the_rest(workspace: Workspace, stream: str) -> None:
    until = soon()
    pages = workspace.pages(stream, full(until=until))
    assert len(pages) > 3
    for at, page in enumerate(pages[:-1]):
        rest = workspace.pages(stream, full(page.checkpoint, until))
        assert records_of(rest) == records_of(pages[at + 1 :])
        assert rest[-1].watermark == pages[-1].watermark


@pytest.mark.parametrize("stream", STREAMS)
def test_the_same_read_again_gives_the_same_bytes(workspace: Workspace, stream: str) -> None:
    until = soon()
    assert workspace.pages(stream, full(until=until)) == workspace.pages(stream, full(until=until))


def test_people_are_all_read_in_every_mode_and_have_no_change_time(workspace: Workspace) -> None:
    records = records_of(workspace.pages("people", since(soon())))
    assert len(records) == 230
    assert {record.source_updated_at for record in records} == {None}
    assert all("devices" not in json.loads(record.payload) for record in records)


def test_a_deleted_person_is_absent_and_an_edited_one_is_new(workspace: Workspace) -> None:
    (gone,) = workspace.mutate("people", "delete")
    (edited,) = workspace.mutate("people", "update", fields={"first_name": "Ada", "title": None})
    rows = rows_of("people", records_of(workspace.pages("people", full())))
    assert gone not in rows
    assert (rows[edited]["first_name"], rows[edited]["title"]) == ("Ada", None)


def test_people_come_in_either_documented_shape(workspace: Workspace) -> None:
    bare = workspace.pages("people", full(until=(until := soon())))
    workspace.break_("wrapped")
    assert workspace.pages("people", full(until=until)) == bare


def test_a_mail_opened_after_the_last_read_gives_an_event_and_leaves_the_others_alone(workspace: Workspace) -> None:
    before = datetime.now(UTC)
    (mail,) = workspace.mutate("messages", "create", stamp=(before - timedelta(days=20)).isoformat())
    first = {one.external_id: one for one in records_of(workspace.pages("email_events", since(before)))}
    assert f"{mail}:sent" in first
    assert f"{mail}:opened" not in first
    opened_at = int((before - timedelta(days=3)).timestamp())
    workspace.mutate("messages", "update", ids=[mail], fields={"opened": opened_at})
    second = {one.external_id: one for one in records_of(workspace.pages("email_events", since(before)))}
    assert second.keys() - first.keys() == {f"{mail}:opened"}
    assert all(second[key] == record for key, record in first.items())
    assert rows_of("email_events", [second[f"{mail}:opened"]])[f"{mail}:opened"][
        "occurred_at"
    ] == datetime.fromtimestamp(opened_at, UTC)


def test_outcomes_that_fill_in_change_the_sent_event_only(workspace: Workspace) -> None:
    (mail,) = workspace.mutate("messages", "create", fields={"sent": 1_700_000_000, "opened": 1_700_000_100})
    first = {one.external_id: one for one in records_of(workspace.pages("email_events", full()))}
    workspace.mutate("messages", "update", ids=[mail], fields={"spammed": 1_700_000_900})
    second = {one.external_id: one for one in records_of(workspace.pages("email_events", full()))}
    assert {key for key in first if first[key] != second[key]} == {f"{mail}:sent"}
    assert json.loads(second[f"{mail}:sent"].payload)["metrics"]["spammed"] == 1_700_000_900


def test_the_look_back_is_read_in_windows_of_thirty_days_at_most(workspace: Workspace) -> None:
    workspace.pages("email_events", full(), history_days=180)
    asked = [dict(pair.split("=") for pair in one["query"].split("&")) for one in workspace.requests("/messages")]
    windows = sorted({(int(one["start_ts"]), int(one["end_ts"])) for one in asked})
    assert len(windows) == 6
    assert all(end - start < 30 * 86_400 for start, end in windows)
    assert all(before[1] + 1 == after[0] for before, after in pairwise(windows))
    assert {one["type"] for one in asked} == {"email"}


def test_activities_are_read_back_to_the_watermark_and_no_further(workspace: Workspace) -> None:
    before = datetime.now(UTC)
    late = (before - timedelta(minutes=40)).isoformat()
    made = workspace.mutate("activities", "create", count=3) + workspace.mutate("activities", "create", stamp=late)
    pages = workspace.pages("behavioral_events", since(before))
    assert {record.external_id for record in records_of(pages)} >= set(made)
    assert len(pages) == 1
    assert len(workspace.requests("/activities")) <= 2  # the page asked for ahead may be under way


def test_an_activity_after_the_upper_bound_is_left_to_the_next_read(workspace: Workspace) -> None:
    until = datetime.now(UTC) - timedelta(minutes=5)
    made = set(workspace.mutate("activities", "create", count=2))
    assert not made & {one.external_id for one in records_of(workspace.pages("behavioral_events", full(until=until)))}
    assert made <= {one.external_id for one in records_of(workspace.pages("behavioral_events", since(until)))}


def test_a_new_activity_at_the_head_does_not_disturb_the_walk(workspace: Workspace) -> None:
    expected = records_of(workspace.pages("behavioral_events", full(until=(until := soon()))))
    read = read_stream(workspace.session(), "behavioral_events", full(until=until))
    first = next(read)
    workspace.mutate("activities", "create", count=7)
    assert records_of([first, *read]) == expected


def test_a_name_is_found_wherever_the_vendor_puts_it(workspace: Workspace) -> None:
    inside = rows_of(
        "behavioral_events", records_of(workspace.pages("behavioral_events", full(until=(until := soon()))))
    )
    workspace.break_("name_on_top")
    on_top = rows_of("behavioral_events", records_of(workspace.pages("behavioral_events", full(until=until))))
    assert inside == on_top


def test_what_mails_did_is_left_to_the_other_stream_and_counted(workspace: Workspace) -> None:
    pages = workspace.pages("behavioral_events", full())
    kinds = {json.loads(record.payload)["type"] for record in records_of(pages)}
    assert kinds == {"event", "page", "screen", "opened_push"}
    assert sum(page.read for page in pages) == 260
    assert sum(page.skipped for page in pages) > 0


def test_fields_are_described_for_both_entities(workspace: Workspace) -> None:
    connector, session = CustomerioConnector(), workspace.session()
    person = {one.name for one in connector.describe_fields(session, Entity.PERSON)}
    assert {"identifiers.email", "attributes.first_name", "attributes.plan"} <= person
    assert "event_name" in {one.name for one in connector.describe_fields(session, Entity.ACTIVITY)}
    assert connector.describe_fields(session, Entity.ACCOUNT) == []
