"""The compiled mapping: transforms, required fields, odd bytes, and the promise that only Reject comes out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gtmc_pipelines.mapping.compile import CompiledMapping, compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.mapping.reasons import REASONS
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.model.errors import Misuse, Reject
from gtmc_pipelines.model.records import FailedValue

CUSTOM = Transform.CUSTOM
PERSON = (
    MappingEntry("FirstName", "firstName", Transform.TRIM),
    MappingEntry("LastName", "lastName", Transform.TRIM, required=True),
    MappingEntry("Email", "email", Transform.LOWERCASE),
    MappingEntry("Title", "title", Transform.UPPERCASE),
    MappingEntry("Account.Id", "accountExternalId"),
)
DEAL = (
    MappingEntry("Name", "name", Transform.TRIM),
    MappingEntry("StageName", "stage"),
    MappingEntry("Amount", "amount"),
    MappingEntry("CloseDate", "closeDate"),
    MappingEntry("IsWon", "isWon"),
    MappingEntry("Extra", "sourceData"),
)
EVERYTHING = (
    MappingEntry("a", "type", CUSTOM, "'meeting_attend'"),
    MappingEntry("b", "channel", CUSTOM, "coalesce(value, record.c, 'other')"),
    MappingEntry("d", "occurredAt", CUSTOM, "value"),
    MappingEntry("e.f", "personExternalId", CUSTOM, "value == null ? null : lower(text(value))"),
    MappingEntry("g", "properties", CUSTOM, "{'g': value, 'h': record.h}"),
)


def mapping(entries: Sequence[MappingEntry] = PERSON, entity: Entity = Entity.PERSON) -> CompiledMapping:
    return compile_mapping(entity, entries, "contacts")


def row(payload: Any, entries: Sequence[MappingEntry] = PERSON, entity: Entity = Entity.PERSON) -> dict[str, Any]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    compiled = mapping(entries, entity)
    return dict(zip(compiled.columns, compiled.texts(body), strict=True))


def code_of(payload: Any, entries: Sequence[MappingEntry] = PERSON, entity: Entity = Entity.PERSON) -> tuple[str, str]:
    with pytest.raises(Reject) as caught:
        row(payload, entries, entity)
    assert caught.value.__cause__ is None
    return caught.value.code, caught.value.field


def test_the_documented_transforms_do_what_they_say() -> None:
    record = {
        "FirstName": " Kim ",
        "LastName": "Berg",
        "Email": " Kim@Example.COM ",
        "Title": "vp",
        "Account": {"Id": 7},
    }
    assert row(record) == {
        "first_name": "Kim",
        "last_name": "Berg",
        "email": "kim@example.com",
        "title": "VP",
        "account_external_id": "7",
    }


def test_columns_come_in_the_tables_order_whatever_the_entries_order() -> None:
    assert mapping(PERSON[::-1]).columns == mapping().columns
    assert mapping().table == ENTITIES[Entity.PERSON].table


def test_a_dotted_path_also_finds_a_flat_field_of_that_name() -> None:
    assert row({"LastName": "B", "Account.Id": "001"})["account_external_id"] == "001"


@pytest.mark.parametrize("missing", [{}, {"LastName": None}, {"LastName": ""}, {"LastName": "  "}])
def test_an_empty_required_field_rejects_the_record(missing: dict[str, Any]) -> None:
    assert code_of(missing) == ("required_missing", "LastName")


def test_a_column_that_must_not_be_null_is_required_without_being_asked() -> None:
    assert code_of({"Name": "Deal"}, DEAL, Entity.OPPORTUNITY) == ("required_missing", "StageName")


def test_an_amount_keeps_digits_no_double_could_hold() -> None:
    payload = b'{"Name":"D","StageName":"S","Amount":12345678901234567890.123456789,"Extra":{"x":0.10}}'
    values = row(payload, DEAL, Entity.OPPORTUNITY)
    assert values["amount"] == "12345678901234567890.123456789"
    assert values["source_data"] == '{"x":0.10}'


def test_previews_give_the_same_row_as_python_values() -> None:
    payload = b'{"Name":"D","StageName":"S","Amount":1.10,"CloseDate":"2026-01-31","IsWon":true,"Extra":{"x":0.10}}'
    compiled = mapping(DEAL, Entity.OPPORTUNITY)
    assert compiled.values(payload) == {
        "name": "D",
        "stage": "S",
        "amount": Decimal("1.10"),
        "close_date": date(2026, 1, 31),
        "is_won": True,
        "source_data": {"x": Decimal("0.10")},
    }
    assert compiled.values({"Name": "D", "StageName": "S", "Amount": 1.5})["amount"] == Decimal("1.5")


def test_an_entry_of_another_stream_is_passed_over() -> None:
    entries = (*PERSON, MappingEntry("Company", "companyName", stream="leads"))
    assert "company_name" not in compile_mapping(Entity.PERSON, entries, "contacts").columns
    assert "company_name" in compile_mapping(Entity.PERSON, entries, "leads").columns


def test_the_fingerprint_changes_with_anything_that_changes_a_row() -> None:
    prints = {
        mapping().fingerprint,
        mapping(PERSON[:-1]).fingerprint,
        mapping((*PERSON[:-1], MappingEntry("AccountId", "accountExternalId"))).fingerprint,
        mapping((*PERSON[:-1], MappingEntry("Account.Id", "accountExternalId", required=True))).fingerprint,
        mapping((*PERSON[:-1], MappingEntry("Account.Id", "accountExternalId", CUSTOM, "value"))).fingerprint,
        compile_mapping(Entity.PERSON, PERSON, "leads").fingerprint,
    }
    assert len(prints) == 6
    assert mapping().fingerprint == mapping(PERSON[::-1]).fingerprint


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ((MappingEntry("a", "nonsense"),), "nonsense"),
        (DEAL[:1], "stage"),
        ((*DEAL[:2], MappingEntry("a", "amount", CUSTOM, "'ten'")), "constant"),
        ((*DEAL[:2], MappingEntry("a", "amount", CUSTOM, "1 +")), "read"),
    ],
)
def test_a_mapping_that_could_only_fail_is_refused(entries: Sequence[MappingEntry], words: str) -> None:
    with pytest.raises(Misuse, match=words):
        mapping(entries, Entity.OPPORTUNITY)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"<html>", "not_json"),
        (b"[1]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"LastName":"\xff"}', "bad_unicode"),
        (b'{"LastName":"\\ud83d"}', "bad_unicode"),
        (b'{"LastName":"a\\u0000b"}', "nul_character"),
        (b'{"LastName":NaN}', "not_a_number"),
        (b'{"LastName":1e999999999999999999999}', "not_a_number"),
        (b'{"LastName":1e400}', "number_out_of_range"),
        (b'{"LastName":' + b"9" * 5000 + b"}", "number_out_of_range"),
        (b'{"LastName":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
        (b'{"LastName":"' + b"x" * 1_000_001 + b'"}', "text_too_long"),
        (b'{"LastName":{}}', "not_text"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bytes_that_make_no_row_give_a_reason(payload: bytes, expected: str) -> None:
    assert code_of(payload)[0] == expected


@pytest.mark.parametrize(
    "payload",
    [
        b'\xef\xbb\xbf{"LastName":"Berg"}',
        b'{"LastName":"Berg","Unmapped":"\\ud83d"}',
        b'{"LastName":"Berg","Unmapped":NaN}',
        b'{"LastName":"Berg","Unmapped":"\\u0000"}',
        b'{"LastName":"x","LastName":"Berg"}',
        b' { "LastName" : "Berg" } \n',
    ],
)
def test_trouble_in_an_unmapped_field_does_not_cost_the_record(payload: bytes) -> None:
    assert row(payload)["last_name"] == "Berg"


@pytest.mark.parametrize(
    "name", ["🙂", "‮gnp.exe", "e\u0301", "İstanbul", "x" * 900_000, "\\u0000", "a\\b\n\t", "'; drop table people; --"]
)
def test_unusual_text_is_stored_as_it_is(name: str) -> None:
    assert row({"LastName": name})["last_name"] == name.strip()


@pytest.mark.parametrize("address", ["İ@x.com", "STRASSE@ẞ.de", "ΑΣ@x.gr", "Ǆ@x.hr"])
def test_lower_casing_is_stable(address: str) -> None:
    once = row({"LastName": "B", "Email": address})["email"]
    assert row({"LastName": "B", "Email": once})["email"] == once


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    values = row(rb'{"Name":"D","StageName":"S","Extra":{"x":"\\u0000"}}', DEAL, Entity.OPPORTUNITY)
    assert json.loads(values["source_data"]) == {"x": "\\u0000"}
    texts, failed = mapping(DEAL, Entity.OPPORTUNITY).read(rb'{"Name":"D","StageName":"S","Extra":{"x":"\u0000"}}')
    assert texts is not None
    assert (texts[-1], failed) == (None, (FailedValue("source_data", "nul_character", "Extra"),))


def test_source_names_are_never_run_as_code() -> None:
    names = ["') or exit() or ('", "a\nimport os", "{x}", 'q"""', "\\", "class", "f0", "🙂"]
    for name in names:
        entries = (MappingEntry("LastName", "lastName"), MappingEntry(name, "title"))
        assert row({"LastName": "B", name: "T"}, entries)["title"] == "T"


def test_a_constant_is_worked_out_once() -> None:
    compiled = compile_mapping(Entity.ACTIVITY, EVERYTHING, "events")
    assert "meeting_attend" not in compiled.source
    assert "record" not in compiled.source.splitlines()[1]
    texts = dict(zip(compiled.columns, compiled.texts(b'{"d":1769853600,"c":"meetings","g":1.5,"h":2}'), strict=True))
    assert texts == {
        "type": "meeting_attend",
        "channel": "meetings",
        "occurred_at": "2026-01-31 10:00:00+00:00",
        "person_external_id": None,
        "properties": '{"g":1.5,"h":2}',
    }


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]))
    | st.sampled_from(["2026-01-31T10:00:00Z", "now", "1,234.50", "true", "\x00", "\ud83d", 10**40, "İ"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
NAMES = sorted({e.source_field.split(".")[0] for e in (*PERSON, *DEAL, *EVERYTHING)} | {"Account.Id", "c", "h", "x"})
RECORDS = st.dictionaries(st.sampled_from(NAMES), JSON_VALUES, max_size=12)
COMPILED = (
    mapping(),
    mapping(DEAL, Entity.OPPORTUNITY),
    compile_mapping(Entity.ACTIVITY, EVERYTHING, "events"),
)


def outcome(compiled: CompiledMapping, payload: bytes) -> tuple[str | None, ...] | str:
    """The row, or the code it was rejected with."""
    try:
        return compiled.texts(payload)
    except Reject as refusal:
        return refusal.code


@given(RECORDS, st.booleans())
@example({"d": "2026-01-31", "b": "\ud83d"}, False)
def test_any_json_record_gives_a_row_or_a_known_reason(record: dict[str, Any], is_escaped: bool) -> None:
    payload = json.dumps(record, ensure_ascii=is_escaped).encode("utf-8", "surrogatepass")
    for compiled in COMPILED:
        texts = outcome(compiled, payload)
        if isinstance(texts, str):
            assert texts in REASONS
            continue
        assert len(texts) == len(compiled.columns)
        for text in texts:
            assert text is None or (type(text) is str and text and "\x00" not in text and text.encode())
        values = compiled.values(payload)
        assert [value is None for value in values.values()] == [text is None for text in texts]


@given(st.binary(max_size=200))
def test_any_bytes_give_a_row_or_a_known_reason(payload: bytes) -> None:
    for compiled in COMPILED:
        with pytest.raises(Reject) as caught:
            compiled.texts(payload)
        assert caught.value.code in REASONS


def test_times_in_previews_are_aware() -> None:
    values = COMPILED[2].values({"d": "2026-01-31T10:00:00+02:00"})
    assert values["occurred_at"] == datetime(2026, 1, 31, 8, tzinfo=UTC)
