"""What is read of the imitated Fathom is what the account holds, however late it arrives and often it is resumed."""

import json
import urllib.parse
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gtmc_pipelines.connectors.fathom.connector import OPTIONS, FathomConnector
from gtmc_pipelines.connectors.options import parse_options
from gtmc_pipelines.connectors.registry import connector_of, login_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Broken, Misuse
from gtmc_pipelines_tests.connectors.fathom_scene import Account, ago, assert_is_truth
from gtmc_pipelines_tests.connectors.vendor_scene import full, ids_of, records_of, since, soon

pytestmark = pytest.mark.services

BY_RECORDINGS: dict[str, Any] = {"include_mode": "recordings"}


@pytest.mark.parametrize("way", [{}, BY_RECORDINGS], ids=["list", "recordings"])
def test_a_full_read_is_the_truth(fathom: Account, way: dict[str, Any]) -> None:
    pages = fathom.read(**way)
    assert len(pages) >= 3
    assert_is_truth(pages, fathom.truth())


def test_meetings_keep_the_vendors_bytes(fathom: Account) -> None:
    (page, *_) = fathom.read()
    record = page.records[0]
    assert record.payload == json.dumps(json.loads(record.payload), ensure_ascii=False, separators=(",", ":")).encode()
    assert record.source_updated_at is None


def test_a_token_of_an_oauth_app_reads_by_recordings_and_is_told_so_otherwise(fathom: Account) -> None:
    token = fathom.keys["oauth_access_token"]
    style: dict[str, Any] = {"auth_style": "bearer"}
    assert_is_truth(fathom.read(key=token, **style, **BY_RECORDINGS), fathom.truth())
    with pytest.raises(Broken) as caught:
        fathom.read(key=token, **style)
    assert caught.value.code == "include_refused"
    assert "include_mode=recordings" in caught.value.next_step


def test_an_incremental_read_goes_back_two_weeks_and_no_further(fathom: Account) -> None:
    inside = fathom.mutate("create", count=12, stamp=ago(days=13, hours=23))
    outside = fathom.mutate("create", count=1, stamp=ago(days=14, hours=1))
    found = ids_of(fathom.read(since(datetime.now(UTC))))
    assert sorted(found) == sorted(inside)
    assert outside[0] not in found
    assert outside[0] in ids_of(fathom.read(since(datetime.now(UTC)), lookback_days=15))


def test_without_news_an_incremental_read_gives_the_same_bytes_again(fathom: Account) -> None:
    fathom.mutate("create", count=3, stamp=ago(days=2))
    until = soon()
    first, second = (records_of(fathom.read(since(until, until=until))) for _ in range(2))
    assert first == second
    assert len(first) == 3


def test_a_transcript_that_arrives_late_is_found_inside_the_look_back(fathom: Account) -> None:
    late = {"transcript_ready": False, "summary_ready": False}
    (made,) = fathom.mutate("create", stamp=ago(days=3), fields=late)
    before = json.loads(records_of(fathom.read(since(datetime.now(UTC))))[0].payload)
    assert before["transcript"] is None
    fathom.mutate("update", ids=[made], fields={"transcript_ready": True, "summary_ready": True})
    after = json.loads(records_of(fathom.read(since(datetime.now(UTC))))[0].payload)
    assert after["transcript"]
    assert after["default_summary"]["markdown_formatted"]


@pytest.mark.parametrize("way", [{}, BY_RECORDINGS], ids=["list", "recordings"])
def test_what_is_not_ready_is_null_and_no_fault(fathom: Account, way: dict[str, Any]) -> None:
    fathom.break_("late_transcript")
    fathom.break_("late_summary")
    payloads = [json.loads(record.payload) for record in records_of(fathom.read(**way))]
    assert {len(one["transcript"] or []) for one in payloads} == {0}
    assert {(one["default_summary"] or {}).get("markdown_formatted") for one in payloads} == {None}


@pytest.mark.parametrize("way", [{}, BY_RECORDINGS], ids=["list", "recordings"])
def test_from_every_checkpoint_the_rest_is_read_exactly(fathom: Account, way: dict[str, Any]) -> None:
    until = soon()
    pages = fathom.read(full(until=until), **way)
    for position, page in enumerate(pages[:-1]):
        resumed = fathom.read(full(page.checkpoint, until), **way)
        assert records_of(resumed) == records_of(pages[position + 1 :])


def test_a_resumed_incremental_read_keeps_its_window(fathom: Account) -> None:
    fathom.mutate("create", count=25, stamp=ago(days=1))
    until = soon()
    pages = fathom.read(since(until, until=until))
    resumed = fathom.read(since(until, pages[0].checkpoint, until), lookback_days=200)
    assert records_of(resumed) == records_of(pages[1:])


def test_pages_that_shift_give_each_meeting_once(fathom: Account) -> None:
    known = fathom.truth()
    fathom.break_("shift_pages")
    pages = fathom.read()
    assert sorted(ids_of(pages)) == sorted(set(ids_of(pages)))
    assert set(known) <= set(ids_of(pages))
    assert sum(page.skipped for page in pages) == len(fathom.requests("/meetings")) - 1
    assert all(page.read == len(page.records) + page.skipped for page in pages)


def test_pages_that_shift_around_a_checkpoint_lose_nothing(fathom: Account) -> None:
    until, known = soon(), fathom.truth()
    first = fathom.read(full(until=until))[0]
    fathom.break_("shift_pages", count=1, meetings=3)
    rest = fathom.read(full(first.checkpoint, until))
    assert set(known) <= {*ids_of([first]), *ids_of(rest)}
    assert not set(ids_of([first])) & set(ids_of(rest))
    assert rest[0].skipped == 3


def test_a_meeting_made_while_pages_are_walked_waits_for_the_next_read(fathom: Account) -> None:
    until = datetime.now(UTC) - timedelta(seconds=2)
    known = set(fathom.truth())
    fathom.mutate("create", count=4)
    pages = fathom.read(full(until=until))
    assert set(ids_of(pages)) == known
    assert pages[-1].watermark is not None
    assert len(ids_of(fathom.read(since(datetime.fromisoformat(pages[-1].watermark))))) == 4


def test_a_vanished_meeting_is_just_not_there(fathom: Account) -> None:
    (gone,) = fathom.mutate("delete", count=1)
    assert gone not in ids_of(fathom.read())


def test_a_transcript_of_half_a_megabyte_is_read_whole(fathom: Account) -> None:
    (made,) = fathom.mutate("create", fields={"transcript_bytes": 500_000})
    record = next(one for one in records_of(fathom.read()) if one.external_id == made)
    assert sum(len(one["text"]) for one in json.loads(record.payload)["transcript"]) >= 500_000


def test_only_what_is_needed_is_asked_for(fathom: Account) -> None:
    fathom.read()
    asked = [dict(urllib.parse.parse_qsl(one["query"])) for one in fathom.requests("/meetings")]
    names = {"created_before", "include_transcript", "include_summary"}
    assert [set(one) - {"cursor"} for one in asked] == [names] * len(asked)
    assert not [one for one in fathom.requests() if "/meetings" not in one["path"]]


def test_the_connector_keeps_its_contract(fathom: Account) -> None:
    connector = connector_of(ConnectorType.FATHOM)
    session = fathom.session()
    health = connector.health_check(session)
    assert health.is_healthy
    assert health.url == f"{fathom.api}/teams"
    assert int(health.facts["api_limit"]) > int(health.facts["api_left"]) > 0
    assert [one.key for one in connector.slices(session, connector.streams[0])] == [""]
    names = {field.name for field in connector.describe_fields(session, Entity.MEETING)}
    assert {"recording_id", "transcript", "recorded_by.email"} <= names
    assert session.usage["requests"] == 1
    assert login_of(ConnectorType.FATHOM).secrets == ("api_key",)  # type: ignore[union-attr]
    session.close()


def test_the_product_docs_profile_asks_as_they_say(fathom: Account) -> None:
    session = fathom.session(profile="product-docs", base_url=f"{fathom.base}/v1")
    health = FathomConnector().health_check(session)
    assert health.is_healthy
    assert health.url == f"{fathom.base}/v1/user"
    session.close()
    assert_is_truth(fathom.read(profile="product-docs", base_url=f"{fathom.base}/v1"), fathom.truth())


def test_options_are_checked_when_they_are_set() -> None:
    texts = [
        "profile=product-docs",
        "include_mode=recordings",
        "lookback_days=30",
        "rate_limit=60",
        "auth_style=bearer",
    ]
    assert parse_options(OPTIONS, texts, frozenset())["lookback_days"] == 30
    for bad in (
        "profile=other",
        "include_mode=all",
        "lookback_days=-1",
        "base_url=http://x.example",
        "probe_path=teams",
    ):
        with pytest.raises(Misuse):
            parse_options(OPTIONS, [bad], frozenset())
