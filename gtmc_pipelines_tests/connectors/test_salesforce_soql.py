"""SOQL is built from checked names and typed values only."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gtmc_pipelines.connectors import positions
from gtmc_pipelines.connectors.salesforce import checkpoint
from gtmc_pipelines.connectors.salesforce.checkpoint import BulkCheckpoint, RestCheckpoint
from gtmc_pipelines.connectors.salesforce.soql import Position, Selection, literal, quoted_id
from gtmc_pipelines.model.errors import Broken

UNTIL = datetime(2026, 1, 15, 9, 30, 0, 123_999, UTC)
LOWER = datetime(2026, 1, 15, 9, 0, tzinfo=timezone(timedelta(hours=2)))
CONTACTS = Selection("Contact", ("Id", "Email"), "SystemModstamp")


def test_a_window_is_half_open_and_ordered() -> None:
    assert CONTACTS.window(LOWER, UNTIL) == (
        "SELECT Id, Email FROM Contact WHERE SystemModstamp >= 2026-01-15T07:00:00.000Z"
        " AND SystemModstamp < 2026-01-15T09:30:00.123Z ORDER BY SystemModstamp, Id"
    )


def test_a_position_goes_on_right_after_the_record_even_among_equal_stamps() -> None:
    soql = CONTACTS.window(LOWER, UNTIL, Position(LOWER, "003xx000003DGb2AAG"), 500)
    assert "(SystemModstamp > 2026-01-15T07:00:00.000Z OR (SystemModstamp = 2026-01-15T07:00:00.000Z" in soql
    assert "AND Id > '003xx000003DGb2AAG'))" in soql
    assert soql.endswith("LIMIT 500")


def test_everything_is_unordered_and_bounded() -> None:
    assert CONTACTS.everything(UNTIL) == (
        "SELECT Id, Email FROM Contact WHERE SystemModstamp < 2026-01-15T09:30:00.123Z"
    )
    assert CONTACTS.count(UNTIL).startswith("SELECT COUNT() FROM Contact WHERE")


@pytest.mark.parametrize("name", ["", "Id, Secret", "Id--", "1Id", "Id'", "Owner.Email", "Ïd", "I" * 81, "Id\n"])
def test_no_hostile_name_gets_into_a_query(name: str) -> None:
    for selection in (
        Selection("Contact", ("Id", name), "SystemModstamp"),
        Selection(name, ("Id",), "SystemModstamp"),
        Selection("Contact", ("Id",), name),
    ):
        with pytest.raises(Broken):
            selection.window(None, UNTIL)


@pytest.mark.parametrize("text", ["", "x", "003xx000003DGb2AA'", "003xx000003DGb2AAG' OR Id != '", "003 x000003DGb2AA"])
def test_no_hostile_id_gets_into_a_query(text: str) -> None:
    with pytest.raises(Broken):
        quoted_id(text)


def test_a_literal_is_cut_not_rounded() -> None:
    assert literal(datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC)) == "2026-12-31T23:59:59.999Z"


def test_checkpoints_survive_the_round_trip() -> None:
    for point in (
        RestCheckpoint("/services/data/v60.0/query/01gD0000002HU6KIAW-2000", UNTIL, "003xx000003DGb2AAG"),
        RestCheckpoint(None, UNTIL, "003xx000003DGb2AAG", 250),
        BulkCheckpoint("750R0000000zlh9IAA", "MTAwMDA"),
    ):
        assert checkpoint.decode(positions.encode(point)) == point


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"kind":"other"}',
        '{"kind":"bulk"}',
        '{"kind":"rest","next_path":"https://evil.example/services/data/v60.0/query/x"}',
        '{"kind":"rest","next_path":"//evil.example/services/data/v60.0/query/x"}',
        '{"kind":"rest","next_path":"@evil.example/services/data/v60.0/query/x"}',
        '{"kind":"rest","next_path":"/services/data/v60.0/query/../../../apexrest/x"}',
        '{"kind":"rest","next_path":"/services/data/v60.0/sobjects/Account"}',
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Broken):
        checkpoint.decode(text)
