"""A person is erased in whatever form their address stands, and the proof looks as wide as the eye does."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import unicodedata
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.addresses import written_forms
from gtmc_pipelines.model.domains import readable_host
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import tombstones
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.person_erasure import erase_person
from gtmc_pipelines.storage.person_search import address_of, find_person, identify, looked_for, text_columns
from gtmc_pipelines.storage.statements import rows, run
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.erasure import Marks, mentions, without
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines_tests.model.disguises import UNSEEN, addresses, disguise

RING = KeyRing(os.urandom(32))
WRAPPINGS = (
    "{}",
    "Gone Person <{}>",
    "\ufeff{}",
    '"Person, Gone" <{}>',
    "{}; alt@else.test",
    "alt@else.test, {}",
    " {}\t",
)
ALSO = ("see\n{}.", "mail ‘{}’, or call", "https://shop.test/?to={}", "Zoë met {} – née İnan")
OTHERS = ("jo{}", "{}.au", "Zoë, alt@else.test")
LOCALS = st.sampled_from(["gone.person", "info", "jürgen", "zoë+news", "o_brien-i"])


def _forms(address: str, dice: random.Random, wrapping: str) -> str:
    local, _, host = address.rpartition("@")
    written = f"{local}@{readable_host(host)}" if dice.random() < 0.5 else address
    disguised = disguise(written, dice)
    if dice.random() < 0.3:
        disguised = disguised.replace("i", "\u0130", 1).replace("I", "\u0130", 1)
    return wrapping.format(disguised)


def _seen(text: str) -> str:
    """What a reader sees, written for this test alone."""
    seen = "".join(c for c in text if c not in UNSEEN and unicodedata.category(c) != "Cf")
    seen = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).lower())
    return seen.replace("i\u0307", "i").replace("。", ".")


def _is_named(text: str, address: str) -> bool:
    seen = _seen(text)
    local, _, host = address.rpartition("@")
    whole = [re.escape(f"{local}@{each}") for each in {host, _seen(readable_host(host))}]
    return re.search(rf"(?<![\w.+-])({'|'.join(whole)})(?![\w-]|\.\w)", seen.replace("%40", "@")) is not None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for each in value if isinstance(value, list) else (value.values() if isinstance(value, dict) else ()):
        yield from _texts(each)


def _left(database: Database, tenant: str, address: str) -> list[str]:
    """Tables and columns that still name the person: read whole, and folded here."""
    left = []
    with database.tenant(tenant) as handle:
        for table, columns in text_columns(handle).items():
            for each in rows(handle, f"SELECT * FROM {table} WHERE tenant_id = %(t)s", {"t": tenant}):
                left += [
                    f"{table}.{c.column}" for c in columns if any(_is_named(t, address) for t in _texts(each[c.column]))
                ]
    return left


def _store(database: Database, tenant: str, address: str, dice: random.Random) -> tuple[set[str], set[str]]:
    """Contacts, people and accounts: the ids of those that are the person's own, and of those that are not."""
    connector = add_connector(database, tenant, "salesforce").id
    own, other, raw, people, accounts, dead = set(), set(), [], [], [], []
    for number, wrapping in enumerate([*WRAPPINGS * 4, *ALSO, *OTHERS]):
        key, text = f"003{number:012d}", _forms(address, dice, wrapping)
        is_own = wrapping in WRAPPINGS
        (own if is_own else other).add(key)
        field = "Email" if is_own else "Description"
        raw.append({"id": key, "payload": json.dumps({"Id": key, "Name": "Gone Person", field: text})})
        people.append({"id": f"{tenant}:{key}", "key": key, "email": text if is_own else None, "title": text})
        accounts.append({"id": f"{tenant}:{number}", "key": f"001{number}", "name": f"Shop of {text}"})
        bare = base64.b64encode(f'{{"broken": "{text}"'.encode()).decode()
        dead.append({"key": key, "payload": json.dumps({"base64": bare}), "connector": connector})
    with database.tenant(tenant) as handle:
        for statement, values in (
            (
                "INSERT INTO raw.salesforce_contacts"
                " (tenant_id, external_id, payload, content_hash, batch_id, extracted_at)"
                " VALUES (%(t)s, %(id)s, %(payload)s::jsonb, '\\x00', 1, now())",
                raw,
            ),
            (
                "INSERT INTO people (id, tenant_id, source, external_id, email, title)"
                " VALUES (%(id)s, %(t)s, 'salesforce', %(key)s, %(email)s, %(title)s)",
                people,
            ),
            (
                "INSERT INTO accounts (id, tenant_id, source, external_id, name)"
                " VALUES (%(id)s, %(t)s, 'salesforce', %(key)s, %(name)s)",
                accounts,
            ),
            (
                "INSERT INTO dead_letters (tenant_id, connector_id, stream, external_id, stage, reason_code, payload)"
                " VALUES (%(t)s, %(connector)s, 'contacts', %(key)s, 'map', 'x', %(payload)s::jsonb)",
                dead,
            ),
        ):
            for each in values:
                run(handle, statement, each | {"t": tenant})
    return own, other


@pytest.mark.services
@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(addresses(), LOCALS | st.none(), st.randoms(use_true_random=False))
def test_nothing_of_a_person_is_left_in_any_form(
    database: Database, given_address: str, local: str | None, dice: random.Random
) -> None:
    address = given_address if local is None else f"{local}@{given_address.rpartition('@')[2]}"
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    add_tenant(database, tenant)
    own, other = _store(database, tenant, address, dice)
    with database.tenant(tenant) as handle:
        person = identify(handle, tenant, address_of(_forms(address, dice, "{}")), {})
    assert person.email == address
    assert find_person(database, tenant, person)["people.email"] == len(own)
    erase_person(database, RING, tenant, person, actor="test")
    assert find_person(database, tenant, person) == {}
    assert _left(database, tenant, address) == []
    with database.tenant(tenant) as handle:
        for table in ("people", "raw.salesforce_contacts"):
            assert {each["external_id"] for each in rows(handle, f"SELECT external_id FROM {table}")} == other
        texts = " ".join(each["name"] for each in rows(handle, "SELECT name FROM accounts"))
    assert "Zoë, alt@else.test" in texts
    assert "née İnan" in texts
    stones = tombstones.load(database, RING, tenant)
    assert stones is not None
    for wrapping in (*WRAPPINGS, *ALSO):
        assert stones.marks("salesforce").is_in(_forms(address, dice, wrapping))


@settings(max_examples=25, deadline=None)
@given(addresses(), LOCALS | st.none(), st.randoms(use_true_random=False))
def test_a_masked_text_names_nobody_and_keeps_the_rest(
    given_address: str, local: str | None, dice: random.Random
) -> None:
    address = given_address if local is None else f"{local}@{given_address.rpartition('@')[2]}"
    marks = Marks(lambda found: found == address, lambda text: False)
    for wrapping in (*WRAPPINGS, *ALSO):
        text = _forms(address, dice, wrapping)
        masked = without({"Body": {"of": text}}, marks)
        assert mentions(text, marks)
        assert not _is_named(json.dumps(masked, ensure_ascii=False), address)
        for word in ("Zoë met ", " – née İnan", "alt@else.test"):
            assert (word in masked["Body"]["of"]) == (word in text)
    for wrapping in OTHERS:
        text = _forms(address, dice, wrapping)
        assert without({"Body": text}, marks) == {"Body": text}


@pytest.mark.services
def test_what_a_search_looked_for_is_said_without_a_name(database: Database, tenant: str) -> None:
    with database.tenant(tenant) as handle:
        person = identify(handle, tenant, "kim@xn--mnchen-3ya.example", {"salesforce": frozenset({"003A00000000001"})})
    said = looked_for(person)
    assert said.startswith("the address in 2 spellings of its host")
    assert "nothing invisible" in said
    assert said.endswith("and 1 id of vendors")
    assert not any(form in said for form in written_forms(person.email))
    assert "of its host" in looked_for(replace(person, email="kim@x.example"))


@pytest.mark.services
def test_a_form_that_can_not_be_erased_is_counted_and_fails(
    database: Database, postgres_url: str, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GTMC_DATABASE_URL", postgres_url)
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", os.urandom(32).hex())
    connector = add_connector(database, tenant, "salesforce").id
    with database.tenant(tenant) as handle:
        options = json.dumps({"note": "ＫＩＭ\u200b@m\u00adu\u0308nchen.example"})
        run(
            handle,
            "UPDATE connectors SET config = %(o)s::jsonb WHERE tenant_id = %(t)s AND id = %(c)s",
            {"o": options, "t": tenant, "c": connector},
        )
    arguments = ["people", "erase", "-t", tenant, "--email", "Kim <kim@münchen.example>", "--yes"]
    result = CliRunner().invoke(app, arguments)
    assert "Proof: 1 mentions left" in result.output
    assert "Looked for: the address in 2 spellings of its host" in result.output
    assert "Can't know: names in free text" in result.output
    assert isinstance(result.exception, Misuse)
    assert result.exception.sentence == "Mentions of the person that are left: 1, in connectors.config."
    assert result.exit_code == 1
