"""REST and Bulk give the same bytes for the same record, and a bad record spares its neighbours."""

import csv
import io
import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.connectors.salesforce import bulk_pages, rest_pages
from gtmc_pipelines.connectors.salesforce.api import BulkPage, FieldInfo
from gtmc_pipelines.connectors.salesforce.streams import OBJECTS, selected_fields, selection_of
from gtmc_pipelines.model.errors import Broken, Retry

TYPES = {
    "Id": "id",
    "IsDeleted": "boolean",
    "SystemModstamp": "datetime",
    "Name": "string",
    "NumberOfEmployees": "int",
    "AnnualRevenue": "currency",
    "CloseDate": "date",
}
STAMP = "2026-01-15T09:30:00.000"


def _csv(rows: list[list[str]], header: list[str] | None = None, number: int | None = None) -> BulkPage:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header or list(TYPES))
    writer.writerows(rows)
    return BulkPage(text.getvalue(), len(rows) if number is None else number, "")


def _raws(*records: bytes) -> list[msgspec.Raw]:
    return [msgspec.Raw(record) for record in records]


def test_the_same_record_has_the_same_bytes_both_ways() -> None:
    rest = (
        b'{"attributes":{"type":"Account","url":"/services/data/v60.0/sobjects/Account/001"},'
        b'"Id":"001xx000003DGb2AAG","IsDeleted":false,"SystemModstamp":"2026-01-15T09:30:00.000+0000",'
        b'"Name":"Acme \\"Nord\\" \xc3\x98\\n","NumberOfEmployees":42,"AnnualRevenue":1200000.10,"CloseDate":null}'
    )
    (from_rest,), _ = rest_pages.records_of(_raws(rest))
    row = ["001xx000003DGb2AAG", "false", STAMP + "Z", 'Acme "Nord" Ø\n', "42", "1200000.10", ""]
    (from_bulk,), _ = bulk_pages.records_of(_csv([row]), TYPES, "SystemModstamp")
    assert from_bulk == from_rest
    assert from_rest.source_updated_at == datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False, places=6)),
    st.booleans(),
)
def test_any_record_has_the_same_bytes_both_ways(name: str, revenue: object, is_deleted: bool) -> None:
    digits = "" if revenue is None else f"{revenue:f}"
    head = (
        '{"attributes":{"type":"Account"},"Id":"001xx000003DGb2AAG","IsDeleted":%s,"SystemModstamp":"%s+0000","Name":'
    )
    rest = (head % (json.dumps(is_deleted), STAMP)).encode() + msgspec.json.encode(name or None)
    rest += f',"NumberOfEmployees":null,"AnnualRevenue":{digits or "null"},"CloseDate":"2026-01-31"}}'.encode()
    row = ["001xx000003DGb2AAG", json.dumps(is_deleted), STAMP + "Z", name, "", digits, "2026-01-31"]
    (from_rest,), _ = rest_pages.records_of(_raws(rest))
    (from_bulk,), _ = bulk_pages.records_of(_csv([row]), TYPES, "SystemModstamp")
    assert from_bulk == from_rest


def test_attributes_are_taken_out_wherever_they_are() -> None:
    raws = _raws(
        b'{ "attributes" : {"type":"Account"}, "Id" : "1", "N" : 1.50 }',
        b'{"Id":"2","attributes":{"type":"Account"},"N":2.50}',
        b'{"Id":"3","N":3.50}',
        b'{"attributes":{"type":"A}\\"","x":[{}]},"Id":"4"}',
    )
    records, rejects = rest_pages.records_of(raws)
    assert [record.payload for record in records] == [
        b'{"Id":"1","N":1.50}',
        b'{"Id":"2","N":2.50}',
        b'{"Id":"3","N":3.50}',
        b'{"Id":"4"}',
    ]
    assert not rejects


def test_a_bad_record_is_rejected_alone() -> None:
    raws = _raws(
        b'{"Id":"001xx000003DGb2AAG","IsDeleted":true}',
        b'{"Name":"no id"}',
        b'{"Id":""}',
        b'{"Id":7}',
        b"null",
        b"[1]",
        b'{"Id":"001xx000003DGb3AAG","SystemModstamp":"yesterday"}',
        b'{"Id":"001xx000003DGb4AAG","IsDeleted":"maybe"}',
    )
    records, rejects = rest_pages.records_of(raws)
    assert [(record.external_id, record.is_deleted) for record in records] == [("001xx000003DGb2AAG", True)]
    assert [(reject.external_id, reject.reason_code) for reject in rejects] == [
        (None, "missing_id"),
        (None, "missing_id"),
        (None, "missing_id"),
        (None, "not_an_object"),
        (None, "not_an_object"),
        ("001xx000003DGb3AAG", "malformed_record"),
        ("001xx000003DGb4AAG", "malformed_record"),
    ]
    assert not any("yesterday" in reject.detail for reject in rejects)


def test_a_bad_row_is_rejected_alone() -> None:
    good = ["001xx000003DGb2AAG", "false", STAMP + "Z", "Acme", "", "", ""]
    rows = [good, ["", *good[1:]], good[:3], [*good[:2], "yesterday", *good[3:]]]
    records, rejects = bulk_pages.records_of(_csv(rows), TYPES, "SystemModstamp")
    assert len(records) == 1
    assert [reject.reason_code for reject in rejects] == ["missing_id", "malformed_record", "malformed_record"]


def test_rows_that_were_announced_and_did_not_come_are_noticed() -> None:
    with pytest.raises(Retry) as caught:
        bulk_pages.records_of(_csv([["1", "false", "", "", "", "", ""]], number=2), TYPES, "SystemModstamp")
    assert caught.value.code == "page_incomplete"


@pytest.mark.parametrize("text", ["<html>sorry</html>", "[]", '"Name"\n"Acme"\n', '"Id"\n"1"\n'])
def test_what_is_no_csv_of_ours_is_one_sentence(text: str) -> None:
    with pytest.raises(Broken) as caught:
        bulk_pages.records_of(BulkPage(text, 1, ""), TYPES, "SystemModstamp")
    assert caught.value.code == "unparsable_page"


def test_an_empty_result_is_an_empty_page() -> None:
    assert bulk_pages.records_of(BulkPage("", 0, ""), TYPES, "SystemModstamp") == ([], [])
    assert bulk_pages.records_of(_csv([]), TYPES, "SystemModstamp") == ([], [])


def test_a_number_that_is_none_stays_text() -> None:
    row = ["1", "false", "", "", "12,5", "1e5", ""]
    (record,), _ = bulk_pages.records_of(_csv([row]), TYPES, "SystemModstamp")
    assert b'"NumberOfEmployees":"12,5","AnnualRevenue":1e5' in record.payload


def test_fields_are_all_the_user_sees_but_compound_ones_and_text_of_activities() -> None:
    described = (
        FieldInfo("Zeta__c", "double", custom=True),
        FieldInfo("Id", "id"),
        FieldInfo("Photo__c", "base64", custom=True),
        FieldInfo("Place__c", "location", custom=True),
        FieldInfo("Subject", "string"),
        FieldInfo("Description", "textarea"),
        FieldInfo("SystemModstamp", "datetime"),
        FieldInfo("Unheard", "string"),
        FieldInfo("bad name__c", "string", custom=True),
        FieldInfo("Alpha__c", "string", custom=True),
    )
    fields = selected_fields("tasks", described)
    assert [field.name for field in fields] == [
        "Id",
        "SystemModstamp",
        "Zeta__c",
        "Subject",
        "Unheard",
        "Alpha__c",
    ]
    assert selection_of("tasks", fields).stamp == "SystemModstamp"


def test_older_objects_are_read_by_their_next_best_stamp() -> None:
    fields = (FieldInfo("Id", "id"), FieldInfo("CreatedDate", "datetime"), FieldInfo("LastModifiedDate", "datetime"))
    assert selection_of("accounts", fields).stamp == "LastModifiedDate"
    with pytest.raises(Broken) as caught:
        selection_of("accounts", (FieldInfo("Id", "id"),))
    assert caught.value.code == "object_not_readable"


def test_only_activities_keep_their_description() -> None:
    described = (FieldInfo("Id", "id"), FieldInfo("Description", "textarea"), FieldInfo("BillingAddress", "address"))
    names = {stream: [field.name for field in selected_fields(stream, described)] for stream in OBJECTS}
    assert {stream for stream, found in names.items() if "Description" not in found} == {"tasks", "events"}
    assert not any("BillingAddress" in found for found in names.values())
