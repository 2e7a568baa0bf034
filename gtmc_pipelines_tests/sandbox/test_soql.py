"""The query language: what is understood, and the words in which the rest is refused."""

from __future__ import annotations

import pytest

from gtmc_pipelines.sandbox.salesforce.errors import ApiError
from gtmc_pipelines.sandbox.salesforce.soql import Comparison, Group, Literal, Order, parse

from .conftest import Client


def test_a_full_query_is_taken_apart() -> None:
    query = parse(
        "SELECT Id, Owner.Email FROM Contact WHERE SystemModstamp >= 2026-01-01T00:00:00.000Z AND "
        "(NOT Name LIKE 'O\\'B%' OR Id IN ('a','b')) ORDER BY Name DESC NULLS LAST, Id LIMIT 5 OFFSET 2"
    )
    assert (query.fields, query.object, query.limit, query.offset) == (("Id", "Owner.Email"), "Contact", 5, 2)
    assert query.order == (Order("Name", True, False), Order("Id", False, True))
    stamp, group = query.where.parts if isinstance(query.where, Group) else ()
    assert stamp == Comparison("SystemModstamp", ">=", (Literal("datetime", 1767225600000),))
    assert isinstance(group, Group)
    assert group.parts[0] == Group("not", (Comparison("Name", "like", (Literal("text", "O'B%"),)),))


@pytest.mark.parametrize(
    ("soql", "place", "says"),
    [
        ("SELECT Id FORM Contact", 11, "unexpected token: 'FORM'"),
        ("SELECT FROM Contact", 8, "unexpected token: 'FROM'"),
        ("SELECT Id FROM Contact WHERE", 29, "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Contact WHERE Name = ", 37, "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Contact WHERE Name ? 'x'", 35, "unexpected char: '?'"),
        ("SELECT Id FROM Contact WHERE Name = 'x", 37, "unexpected char: '''"),
        ("SELECT Id FROM Contact LIMIT x", 30, "expecting a whole number"),
        ("SELECT Id FROM Contact WHERE (Name = 'x'", 41, "expecting ')'"),
        ("SELECT Id FROM Contact ORDER Name", 30, "expecting 'by'"),
        ("SELECT Id FROM Contact GROUP BY Id", 24, "unexpected token: 'GROUP'"),
        ("SELECT Id FROM Contact WHERE CreatedDate > 2026-13-40T00:00:00Z", 44, "Invalid datetime"),
    ],
)
def test_a_malformed_query_is_refused_with_its_place(soql: str, place: int, says: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse(soql)
    assert refused.value.code == "MALFORMED_QUERY"
    assert says in refused.value.message
    if "EOF" not in says and "')'" not in says:
        assert f"Row:1:Column:{place}" in refused.value.message


@pytest.mark.parametrize(
    ("soql", "code", "says"),
    [
        ("SELECT Nope FROM Contact", "INVALID_FIELD", "No such column 'Nope' on entity 'Contact'"),
        ("SELECT Id FROM Contact WHERE Nope = 1", "INVALID_FIELD", "No such column 'Nope' on entity 'Contact'"),
        ("SELECT Id FROM Contact ORDER BY Nope", "INVALID_FIELD", "No such column 'Nope' on entity 'Contact'"),
        ("SELECT Owner.Nope FROM Contact", "INVALID_FIELD", "No such column 'Nope' on entity 'User'"),
        ("SELECT Boss.Name FROM Contact", "INVALID_FIELD", "relationship 'Boss'"),
        ("SELECT Id FROM Kontakt", "INVALID_TYPE", "sObject type 'Kontakt' is not supported"),
        ("SELECT Id FROM Contact WHERE Email = 5", "INVALID_FIELD", "should be enclosed in quotes"),
        ("SELECT Id FROM Contact WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD", "should not be enclosed"),
        ("SELECT Id FROM Contact ORDER BY MailingAddress", "INVALID_FIELD", "can not be sorted"),
        ("", "MALFORMED_QUERY", "can not be empty"),
    ],
)
def test_a_query_about_unknown_things_is_refused_in_salesforces_words(
    salesforce: Client, soql: str, code: str, says: str
) -> None:
    answer = salesforce.query(soql)
    assert answer.status_code == 400
    assert [item["errorCode"] for item in answer.json()] == [code]
    assert says in answer.json()[0]["message"]


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("Industry = 'technology'", lambda row: row["Industry"] == "Technology"),
        ("Industry != 'Technology'", lambda row: row["Industry"] != "Technology"),
        ("Industry = null", lambda row: row["Industry"] is None),
        ("NumberOfEmployees >= 1000", lambda row: (row["NumberOfEmployees"] or 0) >= 1000),
        ("NumberOfEmployees < 10 OR Industry IN ('Media','Energy')", None),
        ("Name LIKE 'Aurora%'", lambda row: row["Name"].startswith("Aurora")),
        ("NOT (Industry = 'Media')", lambda row: row["Industry"] != "Media"),
        ("Industry NOT IN ('Media', 'Energy') AND AnnualRevenue > 5000000.5", None),
        ("Owner.Username = 'admin@acme.example'", lambda row: row["Owner"]["Username"] == "admin@acme.example"),
        ("SystemModstamp >= 2025-01-01T00:00:00+01:00", lambda row: row["SystemModstamp"] >= "2024-12-31T23:00"),
        ("CreatedDate < 2025-01-01T00:00:00Z", lambda row: row["CreatedDate"] < "2025"),
    ],
)
def test_a_condition_finds_the_records_that_meet_it(salesforce: Client, where: str, holds: object) -> None:
    fields = "Id, Name, Industry, NumberOfEmployees, AnnualRevenue, SystemModstamp, CreatedDate, Owner.Username"
    everything = salesforce.rows(f"SELECT {fields} FROM Account")
    found = salesforce.rows(f"SELECT {fields} FROM Account WHERE {where}")
    assert 0 < len(found) < len(everything)
    if callable(holds):
        assert [row["Id"] for row in found] == [row["Id"] for row in everything if holds(row)]


def test_order_limit_and_offset_do_what_they_say(salesforce: Client) -> None:
    names = [
        row["Name"] for row in salesforce.rows("SELECT Name FROM Account ORDER BY Name DESC, Id LIMIT 20 OFFSET 5")
    ]
    every = sorted((row["Name"] for row in salesforce.rows("SELECT Name FROM Account")), key=str.lower, reverse=True)
    assert names == every[5:25]
    first = salesforce.rows("SELECT Industry FROM Account ORDER BY Industry LIMIT 1")[0]["Industry"]
    last = salesforce.rows("SELECT Industry FROM Account ORDER BY Industry NULLS LAST LIMIT 1")[0]["Industry"]
    assert (first, last) == (None, "Banking")


def test_counts_come_without_records(salesforce: Client) -> None:
    assert salesforce.query("SELECT COUNT() FROM Lead").json() == {"totalSize": 1000, "done": True, "records": []}
    counted = salesforce.query("SELECT COUNT(Id) FROM Lead WHERE IsConverted = true").json()
    assert counted["records"][0]["expr0"] > 50
