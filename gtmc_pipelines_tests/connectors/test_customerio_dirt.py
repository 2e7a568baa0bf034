"""What Customer.io's real answers have that its specification doesn't: read as it is meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines.connectors.customerio.email_events import events_of
from gtmc_pipelines.connectors.customerio.errors import fault_of
from gtmc_pipelines.connectors.customerio.payloads import EARLIEST, LATEST, members_of, seconds_of, whole
from gtmc_pipelines.model.records import RejectedRecord
from gtmc_pipelines_tests.connectors.customerio_scene import Workspace, rows_of
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer
from gtmc_pipelines_tests.connectors.vendor_scene import full, records_of

YESTERDAY = int((datetime.now(UTC) - timedelta(days=1)).timestamp())
PERSON = {"cio_id": "a1", "id": "7", "email": "kim@partner.example"}
MOMENTS = st.floats(EARLIEST, LATEST, exclude_max=True)


@pytest.fixture
def scripted(vendor: ScriptedVendor) -> Iterator[Workspace]:
    """A workspace whose answers the test scripts."""
    base = f"http://{vendor.host}"
    found = Workspace(base, base, "", {"api_key": "key-1"})
    yield found
    found.close()


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["sent", "opened", "clicked"]), MOMENTS, min_size=1))
def test_times_with_fractions_are_whole_seconds(metrics: dict[str, float]) -> None:
    assert events_of({name: whole(at) for name, at in metrics.items()}) == {n: int(at) for n, at in metrics.items()}


@settings(max_examples=40)
@given(st.one_of(st.floats(allow_nan=False), st.integers(), st.booleans(), st.none(), st.text()))
def test_a_time_is_whole_seconds_or_none(value: Any) -> None:
    text = json.dumps({"at": value}).replace("Infinity", "1e999").encode()
    members = members_of(text)  # type: ignore[arg-type]
    assert not isinstance(members, RejectedRecord)
    found = seconds_of(members, "at")
    is_time = isinstance(value, int | float) and not isinstance(value, bool) and EARLIEST <= value < LATEST
    assert found == (int(value) if is_time else None)


@pytest.mark.parametrize("answered", [{"ids": None, "next": ""}, {"identifiers": None, "next": ""}, {"next": ""}])
def test_a_search_without_identifiers_finds_nobody(
    vendor: ScriptedVendor, scripted: Workspace, answered: dict[str, Any]
) -> None:
    vendor.script.append(answer(200, json.dumps(answered).encode()))
    assert records_of(scripted.pages("people", full())) == []


def test_mails_with_float_times_and_numeric_ids_are_events(vendor: ScriptedVendor, scripted: Workspace) -> None:
    mail = {
        "id": 4711,
        "type": "email",
        "customer_identifiers": PERSON,
        "metrics": {"sent": YESTERDAY + 0.25, "delivered": YESTERDAY + 3.5, "opened": YESTERDAY + 60.75},
        "campaign_id": 12,
    }
    vendor.script.append(answer(200, json.dumps({"messages": [mail], "next": ""}).encode()))
    records = records_of(scripted.pages("email_events", full(), history_days=20))
    rows = rows_of("email_events", records)
    assert set(rows) == {"4711:sent", "4711:opened"}
    assert rows["4711:sent"]["occurred_at"] == datetime.fromtimestamp(YESTERDAY, UTC)
    assert rows["4711:opened"]["occurred_at"] == datetime.fromtimestamp(YESTERDAY + 60, UTC)


def test_activities_with_float_times_and_numeric_ids_are_read(vendor: ScriptedVendor, scripted: Workspace) -> None:
    activity = {
        "id": 17,
        "type": "event",
        "timestamp": YESTERDAY + 0.25,
        "customer_identifiers": PERSON,
        "data": {"name": "form_submitted"},
    }
    vendor.script.append(answer(200, json.dumps({"activities": [activity], "next": ""}).encode()))
    rows = rows_of("behavioral_events", records_of(scripted.pages("behavioral_events", full())))
    assert rows["17"]["type"] == "form_fill"
    assert rows["17"]["occurred_at"].replace(microsecond=0) == datetime.fromtimestamp(YESTERDAY, UTC)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_says_where_the_allowlist_of_addresses_is(status: int) -> None:
    fault = fault_of(status, b"", datetime.now(UTC), "acme")
    assert "IP address allowlist (Account Settings, API Credentials)" in fault.next_step
    assert "gtmc connectors connect --tenant acme" in fault.next_step
