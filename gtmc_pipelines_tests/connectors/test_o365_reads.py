"""Mailboxes read from the imitated Graph: everything once, changes, deletions, resumed anywhere, state lost."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gtmc_pipelines.cli.truth import o365 as truth
from gtmc_pipelines.connectors.o365.connector import O365Connector
from gtmc_pipelines.connectors.o365.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Broken, Reauthorize, Retry, Unserved
from gtmc_pipelines_tests.connectors.o365_scene import STREAM, Directory, all_records, full, pages_of, since
from gtmc_pipelines_tests.connectors.vendor_scene import records_of

pytestmark = pytest.mark.services


def _friend(directory: Directory) -> str:
    return next(str(row["person_external_id"]) for row in directory.expected().values())


def _watermarks(read: dict[str, Any]) -> dict[str, str]:
    return {key: pages[-1].watermark for key, pages in read.items()}


def test_a_full_read_brings_each_mail_of_allowed_people_once_and_maps_to_the_truth(directory: Directory) -> None:
    with directory.session() as session:
        records = all_records(directory.read(session, full))
    expected = directory.expected()
    assert len({record.external_id for record in records}) == len(records)
    assert {record.external_id for record in records} == set(expected)
    mapping = compile_mapping(Entity.ACTIVITY, DEFAULT_MAPPINGS[Entity.ACTIVITY], STREAM.name)
    for record in records:
        row = dict(zip(mapping.columns, mapping.texts(record.payload), strict=True))
        wanted = expected[record.external_id]
        assert (row["type"], row["channel"]) == ("email_thread", "email")
        assert row["person_external_id"] == wanted["person_external_id"]
        assert json.loads(row["properties"] or "") == wanted["properties"]
        assert record.source_updated_at == wanted["occurred_at"]


def test_what_is_left_out_is_counted_and_nothing_else(directory: Directory) -> None:
    with directory.session() as session:
        read = directory.read(session, full)
    delivered = sum(entry["records"] for entry in directory.requests("/messages"))
    assert sum(page.read for pages in read.values() for page in pages) == delivered
    assert sum(page.skipped for pages in read.values() for page in pages) > 0
    kept = b"".join(record.payload for record in all_records(read)).decode()
    assert directory.org["domain"] not in kept
    assert "letters" not in kept


def test_every_mail_call_is_for_immutable_ids_and_the_constant_selection(directory: Directory) -> None:
    with directory.session() as session:
        pages = pages_of(session, full(directory.mailbox()))
    asked = [entry["query"] for entry in directory.requests("/delta") if "deltatoken" not in entry["query"]]
    assert asked
    for query in (query for query in asked if "skiptoken" not in query):
        assert "select=id,internetMessageId,conversationId" in query
        assert "subject" not in query.lower()
        assert "body" not in query.lower()
    assert "AAMk" not in str(pages[-1].watermark)


def test_an_incremental_read_without_changes_brings_nothing_and_asks_once_per_folder(directory: Directory) -> None:
    with directory.session() as session:
        marks = _watermarks(directory.read(session, full))
    directory.ask("DELETE", "journal")
    with directory.session() as session:
        again = directory.read(session, lambda key: since(key, marks.get(key)))
    assert all_records(again) == []
    unserved = len(directory.left_out)  # asked again each time: a mailbox may have come meanwhile
    assert len(directory.requests("/delta")) == 2 * (len(marks) + unserved)


def test_an_incremental_read_brings_new_mail_however_late_its_stamp(directory: Directory) -> None:
    with directory.session() as session:
        marks = _watermarks(directory.read(session, full))
    friend = _friend(directory)
    directory.mutate("create", count=2, fields={"from": friend})
    directory.mutate("create", count=1, fields={"from": friend, "folder": "inbox"}, stamp=_days_ago(3))
    with directory.session() as session:
        records = all_records(directory.read(session, lambda key: since(key, marks.get(key))))
    assert len(records) == 3
    assert {record.external_id for record in records} <= set(directory.expected())


def test_resuming_from_each_checkpoint_gives_exactly_the_rest(directory: Directory) -> None:
    key = directory.mailbox()
    with directory.session() as session:
        pages = pages_of(session, full(key))
    assert len(pages) > 5
    for place, page in enumerate(pages[:-1]):
        with directory.session() as session:
            rest = pages_of(session, full(key, page.checkpoint))
        assert records_of(rest) == records_of(pages[place + 1 :])
        assert rest[-1].watermark == pages[-1].watermark


def test_a_mail_with_two_copies_comes_once_even_in_later_sessions(directory: Directory) -> None:
    with directory.session() as session:
        together = all_records(directory.read(session, full))
    apart = []
    for key in [row["id"] for row in directory.live("User")][:6]:
        with directory.session() as session:
            apart += records_of(pages_of(session, full(key)))
    assert len(apart) > len(together)
    assert {record.external_id: record for record in apart} == {record.external_id: record for record in together}


def test_the_only_copy_deleted_for_good_is_a_deletion(directory: Directory) -> None:
    with directory.session() as session:
        marks = _watermarks(directory.read(session, full))
    before = set(directory.expected())
    directory.mutate("delete", count=3, fields={"only": "direct"})
    gone = before - set(directory.expected())
    with directory.session() as session:
        records = all_records(directory.read(session, lambda key: since(key, marks.get(key))))
    assert {record.external_id for record in records if record.is_deleted} == gone
    assert len(records) == len(gone) == 3


@pytest.mark.parametrize("reason", ["changed", "deleted"])
def test_a_mail_that_was_only_moved_stays(directory: Directory, reason: str) -> None:
    with directory.session() as session:
        marks = _watermarks(directory.read(session, full))
    moved = directory.mutate("update", count=4, fields={"folder": "archive", "reason": reason})
    with directory.session() as session:
        read = directory.read(session, lambda key: since(key, marks.get(key)))
    assert all_records(read) == []
    assert sum(page.skipped for pages in read.values() for page in pages) == len(moved)


def test_a_mail_that_was_only_marked_as_read_stays_as_it_is_however_little_is_told_of_it(directory: Directory) -> None:
    with directory.session() as session:
        marks = _watermarks(directory.read(session, full))
    read = directory.mutate("update", count=6)
    (made,) = directory.mutate("create", fields={"from": f"kim@{directory.allowed[0]}"})
    directory.mutate("update", ids=[made])
    with directory.session() as session:
        found = directory.read(session, lambda key: since(key, marks.get(key)))
    pages = [page for each in found.values() for page in each]
    assert [record.is_deleted for record in all_records(found)].count(False) >= 1
    assert not any(record.is_deleted for record in all_records(found))
    assert not any(page.rejects for page in pages)
    assert sum(page.read for page in pages) == len(read) + 1


def test_one_of_several_copies_deleted_leaves_the_activity(directory: Directory) -> None:
    with directory.session() as session:
        marks = _watermarks(directory.read(session, full))
    copies: dict[str, list[str]] = {}
    expected = set(directory.expected())
    for each in directory.live("Message"):
        copies.setdefault(each["internetMessageId"], []).append(each["id"])
    several = [ids[0] for ids in copies.values() if len(ids) > 1][:3]
    directory.mutate("delete", ids=several)
    with directory.session() as session:
        assert all_records(directory.read(session, lambda key: since(key, marks.get(key)))) == []
    assert set(directory.expected()) == expected


@pytest.mark.parametrize("code", ["SyncStateNotFound", "syncStateNotFound", "resyncRequired"])
def test_a_lost_delta_state_is_a_bounded_second_read_once_and_counted(directory: Directory, code: str) -> None:
    key = directory.mailbox()
    with directory.session() as session:
        pages = pages_of(session, full(key))
    directory.ask("DELETE", "journal")
    directory.break_("sync_state_lost", count=1, path="inbox", code=code, location=True)
    with directory.session() as session:
        again = pages_of(session, since(key, pages[-1].watermark))
        assert session.usage["resyncs"] == 1
    of_inbox = [each for each in directory.live("Message") if (each["mailbox"], each["folder"]) == (key, "inbox")]
    wanted = truth.expected(lambda kind: of_inbox if kind == "Message" else directory.live(kind))["activities"]
    assert {record.external_id for record in records_of(again)} == set(wanted)
    first = [entry for entry in directory.requests("inbox") if "filter" in entry["query"]]
    assert len(first) == 1
    assert "receivedDateTime%20ge%20" in first[0]["query"]


def test_a_state_that_is_lost_again_in_the_same_read_is_tried_later(directory: Directory) -> None:
    key = directory.mailbox()
    directory.break_("sync_state_lost")
    with directory.session() as session, pytest.raises(Retry) as raised:
        pages_of(session, full(key))
    assert raised.value.code == "sync_state_lost"


def test_a_round_that_the_vendor_cut_is_filled_by_plain_paging(directory: Directory) -> None:
    key = directory.mailbox()
    with directory.session() as session:
        whole = {record.external_id for record in records_of(pages_of(session, full(key)))}
    directory.break_("delta_cap", items=15)
    with directory.session(round_cap=15) as session:
        pages = pages_of(session, full(key))
        assert session.usage["rounds_filled"] >= 1
    records = records_of(pages)
    assert {record.external_id for record in records} == whole
    assert len(records) == len(whole)
    directory.ask("DELETE", "knobs")
    with directory.session() as session:
        assert records_of(pages_of(session, since(key, pages[-1].watermark))) == []


def test_other_lists_make_a_stored_position_void(directory: Directory) -> None:
    key = directory.mailbox()
    with directory.session(allowed_domains=directory.allowed[:3]) as session:
        few = pages_of(session, full(key))
    with directory.session() as session:
        more = pages_of(session, since(key, few[-1].watermark))
    with directory.session() as session:
        assert len(records_of(more)) == len(records_of(pages_of(session, full(key)))) > len(records_of(few))
    with directory.session() as session:
        assert records_of(pages_of(session, full(key, few[0].checkpoint))) == records_of(more)


def test_a_user_without_exchange_is_left_out(directory: Directory) -> None:
    with directory.session() as session:
        slices = [part.key for part in O365Connector().slices(session, STREAM)]
        users = directory.live("User")
        without = next(user["id"] for user in users if user["mail"] is None)
        assert without in slices
        with pytest.raises(Unserved) as raised:
            pages_of(session, full(without))
    assert (raised.value.code, raised.value.when_all) == ("no_mailbox", None)
    assert session.usage["mailboxes_skipped"] == 1


def test_guests_and_disabled_users_are_no_slices_unless_asked_for(directory: Directory) -> None:
    users = directory.live("User")
    guest = next(user["id"] for user in users if user["userType"] == "Guest")
    disabled = next(user["id"] for user in users if not user["accountEnabled"])
    with directory.session() as session:
        usual = {part.key for part in O365Connector().slices(session, STREAM)}
    with directory.session(include_disabled_accounts=1) as session:
        more = {part.key for part in O365Connector().slices(session, STREAM)}
    assert not {guest, disabled} & usual
    assert more - usual == {disabled}


def test_slices_are_object_ids_and_show_no_person(directory: Directory) -> None:
    with directory.session() as session:
        slices = O365Connector().slices(session, STREAM)
    assert all("@" not in repr(part) for part in slices)
    assert [part.key for part in slices] == sorted(part.key for part in slices)


def test_a_mailbox_out_of_the_apps_reach_is_left_out_and_asks_the_user_only_when_all_are(directory: Directory) -> None:
    denied = directory.mailbox(1)
    directory.break_("mailbox_denied", path=denied)
    with directory.session() as session:
        read = directory.read(session, full)
        assert session.usage["mailboxes_out_of_reach"] == 1
    assert all_records(read)
    fault = directory.left_out[denied]
    assert fault.code == "out_of_scope"
    assert isinstance(fault.when_all, Reauthorize)
    assert fault.when_all.code == "mail_access_denied"
    assert "Mail.ReadBasic.All" in fault.when_all.next_step


def test_a_mailbox_without_any_folder_that_is_read_is_left_out(directory: Directory) -> None:
    with directory.session(folders="AQMkNowhere,AQMkNeither") as session, pytest.raises(Unserved) as raised:
        pages_of(session, full(directory.mailbox()))
    assert raised.value.code == "no_folder"


REFUSALS = [
    (404, "ErrorInvalidUser", "no_mailbox"),
    (404, "ErrorInvalidMailbox", "no_mailbox"),
    (404, "ResourceNotFound", "no_mailbox"),
    (404, "", "no_mailbox"),
    (404, "NeverHeardOf", "no_mailbox"),
    (400, "MailboxNotEnabledForRESTAPI", "no_mailbox"),
    (404, "MailboxNotHostedInExchangeOnline", "mailbox_elsewhere"),
    (423, "ErrorMailboxLocked", "mailbox_locked"),
]


@pytest.mark.parametrize(("status", "code", "reason"), REFUSALS)
def test_a_mailbox_that_can_not_be_served_is_left_out_with_its_reason(
    directory: Directory, status: int, code: str, reason: str
) -> None:
    key = directory.mailbox(1)
    directory.break_("mailbox_refused", path=key, status=status, code=code)
    with directory.session() as session, pytest.raises(Unserved) as raised:
        pages_of(session, full(key))
    assert raised.value.code == reason


def test_a_directory_without_exchange_is_told_to_the_administrator(directory: Directory) -> None:
    directory.break_("mailbox_refused", status=404, code="OrganizationFromTenantGuidNotFound")
    with directory.session() as session, pytest.raises(Reauthorize) as raised:
        pages_of(session, full(directory.mailbox()))
    assert raised.value.code == "no_exchange_online"


def test_an_app_scoped_in_exchange_reads_its_scope_and_verify_says_so(directory: Directory) -> None:
    inside = directory.mailbox(0)
    with directory.session() as session:
        assert O365Connector().health_check(session).facts["mail_access"] == "tenant-wide"
    directory.break_("mail_scoped", scope=[inside])
    with directory.session() as session:
        assert O365Connector().health_check(session).facts["mail_access"] == "scoped"
        assert set(directory.read(session, full)) == {inside}
    assert {fault.code for fault in directory.left_out.values()} == {"out_of_scope"}


def test_a_damaged_position_is_said_to_be_one(directory: Directory) -> None:
    with directory.session() as session, pytest.raises(Broken) as raised:
        pages_of(session, full(directory.mailbox(), "{}"))
    assert raised.value.code == "bad_checkpoint"


def _days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()
