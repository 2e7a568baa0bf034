"""What a tenant with mappings of its own is offered: never what they left out or edited, and a mapping in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.mapping.validate import validate
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.workflows.upgrades import offers
from gtmc_pipelines.workflows.upgrades.fingerprints import fingerprint
from gtmc_pipelines.workflows.upgrades.offers import former_defaults, offer_of, taken

Entries = list[dict[str, Any]]
SALESFORCE = ConnectorType.SALESFORCE
FORMER = former_defaults()["c2a9a3a"]
MAPPABLE = [(ConnectorType(kind), Entity(entity)) for kind, entities in FORMER.items() for entity in entities]


def former(connector: ConnectorType, entity: Entity) -> Entries:
    return [dict(entry) for entry in FORMER[connector.value][entity.value]]


def today(connector: ConnectorType, entity: Entity) -> Entries:
    return [entry.as_dict() for entry in connector_of(connector).default_mappings()[entity]]


def streams(connector: ConnectorType, entity: Entity) -> list[str]:
    return [stream.name for stream in STREAMS[connector] if entity in stream.entities]


@pytest.mark.parametrize(("connector", "entity"), MAPPABLE)
def test_the_former_defaults_become_todays_and_todays_are_offered_nothing(
    connector: ConnectorType, entity: Entity
) -> None:
    saved = former(connector, entity)
    offer = offer_of(connector, entity, saved)
    result = saved if offer is None else list(taken(connector, offer, saved))
    assert sorted(map(repr, _plain(result))) == sorted(map(repr, _plain(today(connector, entity))))
    assert offer_of(connector, entity, today(connector, entity)) is None


@given(st.data())
def test_a_line_that_was_edited_or_left_out_stays_so_and_what_is_taken_is_a_mapping(data: st.DataObject) -> None:
    connector, entity = data.draw(st.sampled_from(MAPPABLE))
    saved = []
    for entry in former(connector, entity):
        fate = data.draw(st.sampled_from(["kept", "edited", "left out"]))
        if fate != "left out" or entry.get("required"):
            saved.append(entry | {"sourceField": "Their_Own__c", "transform": "trim"} if fate == "edited" else entry)
    for entry in saved:
        if entry["sourceField"] == "Their_Own__c":
            entry.pop("customTransform", None)
    offer = offer_of(connector, entity, saved)
    if offer is None or validate(entity, saved, streams(connector, entity)):
        return
    result = list(taken(connector, offer, saved))
    assert validate(entity, result, streams(connector, entity)) == []
    assert [entry for entry in saved if entry["sourceField"] == "Their_Own__c"] == [
        entry for entry in result if entry["sourceField"] == "Their_Own__c"
    ]
    places = {(entry["targetField"], entry.get("stream")) for entry in former(connector, entity)}
    left_out = places - {(entry["targetField"], entry.get("stream")) for entry in saved}
    assert not left_out & {(entry["targetField"], entry.get("stream")) for entry in result}
    assert offer_of(connector, entity, result) is None


def test_an_offer_that_makes_no_mapping_is_refused_with_the_next_step() -> None:
    saved: Sequence[Any] = [*former(SALESFORCE, Entity.PERSON), "no entry"]
    offer = offer_of(SALESFORCE, Entity.PERSON, saved)
    assert offer is not None
    with pytest.raises(Misuse, match="gtmc mappings set") as raised:
        taken(SALESFORCE, offer, saved)
    assert raised.value.code == "offer_refused"


def test_new_and_gone_lines_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    now = today(SALESFORCE, Entity.PERSON)
    fewer = [entry for entry in now if entry["targetField"] != "phone"]
    more = [*fewer, {"sourceField": "Fax", "targetField": "companyName", "transform": "none", "stream": "contacts"}]
    _pretend(monkeypatch, {"salesforce": {"person": more}})
    offer = offer_of(SALESFORCE, Entity.PERSON, more)
    assert offer is not None
    assert [(change.kind, (change.entry or change.former or {})["targetField"]) for change in offer.changes] == [
        ("new", "phone"),
        ("gone", "companyName"),
    ]
    result = taken(SALESFORCE, offer, more)
    assert sorted(map(repr, result)) == sorted(map(repr, now))


def test_rows_are_to_be_made_again_for_other_defaults_but_not_for_a_mapping_of_their_own() -> None:
    plain = fingerprint(SALESFORCE, frozenset(), {})
    assert plain == fingerprint(SALESFORCE, frozenset(), {})
    own = fingerprint(SALESFORCE, {Entity.PERSON}, {})
    taken_once = fingerprint(SALESFORCE, {Entity.PERSON}, {Entity.PERSON: "1"})
    others = {fingerprint(connector, frozenset(), {}) for connector in ConnectorType}
    assert len({plain, own, taken_once} | others) == 7


def _pretend(monkeypatch: pytest.MonkeyPatch, defaults: Mapping[str, Any]) -> None:
    monkeypatch.setattr(offers, "former_defaults", lambda: {"once": defaults})


def _plain(entries: Sequence[Mapping[str, Any]]) -> Entries:
    return [{"transform": "none", **entry} for entry in entries]
