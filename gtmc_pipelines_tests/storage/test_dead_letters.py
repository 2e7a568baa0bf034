"""Dead letters: counted up, closed when written after all, and storable whatever the vendor sent."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.dead_letters import (
    Backlog,
    DeadLetter,
    NewLetter,
    backlog,
    has_open,
    list_letters,
    missing_id,
    require_letter,
    resolve,
    storable_json,
    upsert_letters,
)
from gtmc_pipelines.storage.engine import Database

HOSTILE = [
    b'{"a": "\\u0000"}',
    b'{"a": "\\ud83d"}',
    b'{"a": NaN}',
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"{",
    b"",
    b"[" * 100_000,
]


def _put(database: Database, connector: ConnectorRow, *letters: NewLetter) -> list[DeadLetter]:
    tenant = connector.tenant_id
    with database.tenant(tenant) as connection:
        upsert_letters(connection, tenant, connector.id, "contacts", letters, sync_log_id="sync", batch_id=7)
    return list_letters(database, tenant)


def _letter(external_id: str = "003A", **changes: object) -> NewLetter:
    values = {"stage": "map", "reason_code": "missing_field", "detail": "Name is missing."} | changes
    return NewLetter(external_id, **values)  # type: ignore[arg-type]


@pytest.mark.services
def test_a_record_that_fails_again_is_the_same_letter_counted_up(database: Database, connector: ConnectorRow) -> None:
    (first,) = _put(database, connector, _letter())
    (again,) = _put(database, connector, _letter(reason_code="bad_number"))
    assert (first.id, first.attempts, again.id, again.attempts) == (again.id, 1, first.id, 2)
    assert again.reason_code == "bad_number"
    assert again.first_seen_at == first.first_seen_at < again.last_seen_at
    assert (again.external_id, again.stream, again.batch_id, again.connector) == ("003A", "contacts", 7, "salesforce")


@pytest.mark.services
def test_the_same_record_twice_in_a_batch_is_one_letter_the_last(database: Database, connector: ConnectorRow) -> None:
    (letter,) = _put(database, connector, _letter(), _letter(detail="Later."))
    assert (letter.detail, letter.attempts) == ("Later.", 1)


@pytest.mark.services
def test_a_record_written_after_all_is_closed_and_opens_again_when_it_fails_anew(
    database: Database, connector: ConnectorRow
) -> None:
    tenant = connector.tenant_id
    _put(database, connector, _letter("003A"), _letter("003B"))
    assert next(each for each in backlog(database) if each.tenant_id == tenant).replayable == 2
    with database.tenant(tenant) as connection:
        assert resolve(connection, tenant, connector.id, "contacts", ["003A", "003Z"]) == 1
        assert resolve(connection, tenant, connector.id, "contacts", ["003A"]) == 0
        assert resolve(connection, tenant, connector.id, "leads", ["003B"]) == 0
        assert has_open(connection, tenant, connector.id, "contacts")
        assert not has_open(connection, tenant, connector.id, "leads")
    assert [letter.external_id for letter in list_letters(database, tenant)] == ["003B"]
    closed = next(letter for letter in list_letters(database, tenant, only_open=False) if letter.external_id == "003A")
    assert (closed.resolution, closed.is_open) == ("written", False)
    assert backlog(database, tenant) == [Backlog(tenant, connector.id, "salesforce", "contacts", 1, 0, [])]
    reopened = {letter.external_id: letter for letter in _put(database, connector, _letter("003A"))}["003A"]
    assert (reopened.is_open, reopened.attempts, reopened.resolution) == (True, 2, None)


@pytest.mark.services
@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_a_payload_that_jsonb_refuses_is_kept_as_bytes(
    payload: bytes, database: Database, connector: ConnectorRow
) -> None:
    (letter,) = _put(database, connector, _letter("nul\x00 and half \ud83d", payload=payload))
    stored = require_letter(database, connector.tenant_id, letter.id)
    assert base64.b64decode(stored.payload["base64"]) == payload


@pytest.mark.services
def test_a_payload_that_jsonb_takes_is_kept_as_it_is(database: Database, connector: ConnectorRow) -> None:
    (letter,) = _put(database, connector, _letter(payload=b'{"Amount": 1e400, "Name": "\xc3\xa4"}'))
    assert letter.payload is None
    assert require_letter(database, connector.tenant_id, letter.id).payload["Name"] == "ä"
    assert "ä" not in repr(require_letter(database, connector.tenant_id, letter.id))


@pytest.mark.services
def test_the_list_over_all_tenants_shows_no_ids_and_details(database: Database, connector: ConnectorRow) -> None:
    _put(database, connector, _letter())
    letter = next(found for found in list_letters(database, limit=10_000) if found.connector_id == connector.id)
    assert (letter.external_id, letter.detail, letter.payload, letter.reason_code) == (
        None,
        None,
        None,
        "missing_field",
    )


@pytest.mark.services
def test_an_unknown_letter_and_one_of_another_tenant_are_refused_alike(
    database: Database, connector: ConnectorRow
) -> None:
    (letter,) = _put(database, connector, _letter())
    for tenant, number in ((connector.tenant_id, 0), ("somebody-else", letter.id)):
        with pytest.raises(Misuse) as raised:
            require_letter(database, tenant, number)
        assert raised.value.code == "unknown_dead_letter"


@pytest.mark.services
def test_no_letters_are_no_statement(database: Database, connector: ConnectorRow) -> None:
    assert _put(database, connector) == []


def test_records_without_an_id_get_distinct_ones() -> None:
    assert missing_id(7, 0) == "?7:0" != missing_id(7, 1)


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=5)
)
def test_what_is_stored_is_json_and_gives_the_payload_back(value: object) -> None:
    payload = json.dumps(value, ensure_ascii=True).encode()
    stored = storable_json(payload)
    if stored != payload.decode():
        assert base64.b64decode(json.loads(stored)["base64"]) == payload
