"""What is known of a stream's fields, and the values of hidden ones: kept letter by letter, digit by digit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage import kept_values, stream_fields
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.kept_values import differing_ids, with_kept_values
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines.storage.stream_fields import Hidden, StreamFields

PEOPLE: Stream = STREAMS[ConnectorType.CUSTOMERIO][0]
NOW = datetime(2026, 5, 3, 9, 30, tzinfo=UTC)

_LAND = """INSERT INTO raw.customerio_people (tenant_id, external_id, payload, content_hash)
VALUES (%(tenant)s, %(id)s, %(payload)s::jsonb, '\\x00')"""


def _landed(database: Database, tenant: str, **payloads: str) -> None:
    with database.tenant(tenant) as handle:
        for key, payload in payloads.items():
            run(handle, _LAND, {"tenant": tenant, "id": key, "payload": payload})


def _kept(database: Database, tenant: str, key: str, payload: str, *paths: str) -> str:
    (record,) = with_kept_values(database, tenant, PEOPLE, [SourceRecord(key, payload.encode(), None)], paths)
    return record.payload.decode()


@pytest.mark.services
def test_stored_values_fill_what_the_vendor_no_longer_sends(database: Database, tenant: str) -> None:
    stored = '{"id": "a", "plan": {"name": "Größe \\"XL\\"", "price": 12345678901234567890.10}, "none": null, "l": [1]}'
    _landed(database, tenant, a=stored)
    paths = ("plan.name", "plan.price", "none", "l", "absent")
    assert _kept(database, tenant, "a", '{"id":"a","plan":null}', *paths) == (
        '{"id":"a","plan":{"name":"Größe \\"XL\\"","price":12345678901234567890.10},"l":[1]}'
    )
    assert _kept(database, tenant, "a", '{"plan":{"name":"new"},"l":[2]}', *paths) == (
        '{"plan":{"name":"new","price":12345678901234567890.10},"l":[2]}'
    ), "what the vendor sends wins"
    assert _kept(database, tenant, "a", '{"plan":"text"}', "plan.name") == '{"plan":"text"}'
    assert _kept(database, tenant, "b", '{"id":"b"}', *paths) == '{"id":"b"}', "nothing is stored of it"
    for odd in ("[1]", '{"plan":NaN}', ""):
        assert _kept(database, tenant, "a", odd, "plan.name") == odd


@pytest.mark.services
def test_values_differ_by_what_they_mean(database: Database, tenant: str) -> None:
    _landed(database, tenant, a='{"n": 1.50, "t": "x"}', b='{"n": 2}', c='{"t": "x"}', d='{"n": null}')
    seen = {"a": '{"n":1.5}', "b": '{"n":3}', "c": '{"n":0}', "d": "{}", "unknown": '{"n":1}'}
    records = [SourceRecord(key, payload.encode(), None) for key, payload in seen.items()]
    assert sorted(differing_ids(database, tenant, PEOPLE, records, ["n"])) == ["b", "c"]


@pytest.mark.services
def test_what_is_known_is_kept_and_cleared(database: Database, tenant: str) -> None:
    connector = add_connector(database, tenant, ConnectorType.CUSTOMERIO).id
    hidden = {"plan": Hidden(NOW), "title": Hidden(NOW, is_back=True, read_again=NOW)}
    known = StreamFields(frozenset({"id", "plän"}), {"plan": 0.75}, hidden, ("kim@example.com",), NOW)
    with database.tenant(tenant) as handle:
        assert stream_fields.load(handle, tenant, connector, "people") == StreamFields()
        stream_fields.save(handle, tenant, connector, "people", known)
        assert stream_fields.load(handle, tenant, connector, "people") == known
        stream_fields.forget_samples(handle, tenant)
        assert stream_fields.load(handle, tenant, connector, "people").sample == ()
        stream_fields.clear_fields(handle, tenant, connector)
        assert stream_fields.load(handle, tenant, connector, "people") == StreamFields()


_NAMES = st.text(min_size=1, max_size=5).filter(lambda name: "." not in name)
_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(_NAMES, _VALUES, max_size=4), st.lists(_NAMES, min_size=1, max_size=3), st.integers(1, 9))
def test_filling_a_path_changes_nothing_else(payload: dict[str, Any], path: list[str], value: int) -> None:
    data = json.dumps(payload, ensure_ascii=True).encode()
    raw = kept_values.msgspec.Raw(str(value).encode())
    filled = json.loads(kept_values._filled(SourceRecord("a", data, None), {".".join(path): raw}).payload)
    assert {name: filled[name] for name in payload if name != path[0]} == {
        name: payload[name] for name in payload if name != path[0]
    }
    there = _dug(payload, path)
    assert _dug(filled, path) in (there, value)
    if there not in (None, value):
        assert filled == payload


def _dug(document: Any, path: list[str]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document
