"""Records: repeatable, varied, well-formed in JSON and CSV, joined to each other."""

from __future__ import annotations

import csv
import io
import re
import time

from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.running import running
from gtmc_pipelines.sandbox.salesforce.batch import Batch
from gtmc_pipelines.sandbox.salesforce.encode import csv_rows
from gtmc_pipelines.sandbox.salesforce.org import Org
from gtmc_pipelines.sandbox.salesforce.record_ids import IdCodec

from .conftest import Client


def test_a_second_sandbox_with_the_same_seed_has_the_same_records(salesforce: Client) -> None:
    mine = salesforce.control("GET", "truth?org=acme")
    with running(SandboxOptions()) as announcement:
        other = Client(announcement)
        assert other.control("GET", "truth?org=acme") == mine
        assert other.credentials == salesforce.credentials
        other.http.close()
    with running(SandboxOptions(seed=8)) as announcement:
        third = Client(announcement)
        assert (
            third.control("GET", "truth?org=acme")["objects"]["Contact"]["digest"]
            != mine["objects"]["Contact"]["digest"]
        )
        third.http.close()


def test_the_default_sizes_are_those_documented(salesforce: Client) -> None:
    objects = salesforce.control("GET", "truth?org=globex&digest=false")["objects"]
    live = {name: counts["live"] for name, counts in objects.items()}
    assert live == {
        "Account": 400,
        "Contact": 2000,
        "Lead": 1000,
        "Opportunity": 600,
        "Task": 1800,
        "Event": 1200,
        "User": 12,
        "Organization": 1,
    }
    assert objects["Contact"]["deleted"] == 40


def test_ids_have_a_checksum_sort_by_number_and_lead_back() -> None:
    assert IdCodec("001", "xx00").one(0)[:15] == "001xx0000000000"
    codec = IdCodec("003", "Ab1Z")
    numbers = [0, 1, 35, 36, 61, 62, 3843, 3844, 999_999, 14_776_336]
    ids = codec.encode(numbers)
    assert ids == sorted(ids)
    assert [codec.decode(text) for text in ids] == numbers
    assert [codec.decode(text[:15]) for text in ids] == numbers
    assert codec.decode("00Q" + ids[0][3:]) is None
    for text in ids:
        bits = ["".join("1" if one.isupper() else "0" for one in reversed(text[at : at + 5])) for at in (0, 5, 10)]
        assert text[15:] == "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[int(bit, 2)] for bit in bits)


def test_json_spells_times_with_an_offset_and_money_as_floats(salesforce: Client) -> None:
    rows = salesforce.rows("SELECT AnnualRevenue, NumberOfEmployees, SystemModstamp, BillingAddress FROM Account")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000\+0000", row["SystemModstamp"]) for row in rows)
    assert {type(row["AnnualRevenue"]) for row in rows} == {float, type(None)}
    assert {type(row["NumberOfEmployees"]) for row in rows} == {int, type(None)}
    assert rows[0]["BillingAddress"]["city"]
    assert ".0," in salesforce.query("SELECT AnnualRevenue, Id FROM Account WHERE AnnualRevenue != null").text


def test_texts_hold_what_breaks_careless_programs(salesforce: Client) -> None:
    rows = salesforce.rows("SELECT Description, LastName, Title FROM Contact")
    texts = "".join(f"{row['Description']}{row['LastName']}{row['Title']}" for row in rows)
    assert all(part in texts for part in ("🚀", "\n", "\r\n", '"', "'", "+", "ø", "\\", "שלום"))
    assert None in {row["Description"] for row in rows}


def test_csv_and_json_tell_the_same(salesforce: Client) -> None:
    soql = (
        "SELECT Id, Name, Description, Email, Engagement_Score__c, IsDeleted, SystemModstamp, Owner.Email FROM Contact"
    )
    job = salesforce.job(soql).json()["id"]
    salesforce.get(f"jobs/query/{job}")
    text = salesforce.get(f"jobs/query/{job}/results").content.decode()
    listed = list(csv.DictReader(io.StringIO(text, newline="")))
    rows = salesforce.rows(soql)
    assert len(listed) == len(rows) == 2000
    for flat, row in zip(listed, rows, strict=True):
        assert flat["SystemModstamp"] == row["SystemModstamp"].replace("+0000", "Z")
        assert flat["Owner.Email"] == row["Owner"]["Email"]
        assert [flat[name] or None for name in ("Id", "Name", "Description", "Email")] == [
            row[name] for name in ("Id", "Name", "Description", "Email")
        ]
        assert (float(flat["Engagement_Score__c"]), flat["IsDeleted"]) == (row["Engagement_Score__c"], "false")
    assert all(line.startswith('"') for line in text.split("\n")[:1])


def test_references_lead_to_records_that_exist(salesforce: Client) -> None:
    accounts = {row["Id"] for row in salesforce.rows("SELECT Id FROM Account", everything=True)}
    contacts = {row["Id"]: row for row in salesforce.rows("SELECT Id, AccountId, Email FROM Contact")}
    assert all(row["AccountId"] in accounts for row in contacts.values() if row["AccountId"])
    leads = salesforce.rows("SELECT Id, Email, IsConverted, ConvertedContactId FROM Lead WHERE IsConverted = true")
    assert leads
    assert all(row["ConvertedContactId"] in contacts for row in leads)
    both = [(row["Email"], contacts[row["ConvertedContactId"]]["Email"]) for row in leads]
    assert all(mine == theirs for mine, theirs in both if mine and theirs)
    people = {row["Id"] for row in salesforce.rows("SELECT Id FROM Lead")} | set(contacts)
    assert {row["WhoId"] for row in salesforce.rows("SELECT WhoId FROM Task")} <= people | {None}


def test_every_field_of_every_object_can_be_read_in_both_formats(salesforce: Client) -> None:
    for name in ("Account", "Contact", "Lead", "Opportunity", "Task", "Event", "User", "Organization"):
        fields = salesforce.get(f"sobjects/{name}/describe").json()["fields"]
        rows = salesforce.rows(f"SELECT {','.join(field['name'] for field in fields)} FROM {name} LIMIT 300")
        assert rows
        for field in fields:
            values = [row[field["name"]] for row in rows]
            assert field["nillable"] or None not in values, (name, field["name"])
            if field["type"] in ("string", "textarea", "email", "phone", "url") and field["length"]:
                assert all(len(value) <= field["length"] for value in values if value), (name, field["name"])


def test_records_are_made_cheaply() -> None:
    table = Org("acme", 7, {"contacts": 200_000}).tables["Contact"]
    paths = tuple(field.name for field in table.shape.fields if not field.compound)
    began = time.process_time()
    for start in range(0, 10_000, 500):
        csv_rows(Batch(table, range(start, start + 500)), paths, ",", "\n")
    assert time.process_time() - began < 1.0  # measured 0.11 s on an idle machine
