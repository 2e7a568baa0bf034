"""Delivr.ai read from the imitated one: both contracts, resumed anywhere, late records, and at its pace."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.running import running
from gtmc_pipelines_tests.connectors.delivrai_scene import COMPANIES, CONNECTOR, PUBLIC, SIGNALS, Organization, since
from gtmc_pipelines_tests.connectors.vendor_scene import full, ids_of, records_of, soon

WINDOWS: dict[str, Any] = {"until_parameter": "until"}
AUDIENCE: dict[str, Any] = {"profile": "public", "audience_id": "7"}


@pytest.fixture(scope="module")
def sandbox_of_delivrai() -> Iterator[dict[str, Any]]:
    sizes = {"signals": 230, "enriched_companies": 120, "delivrai_requests_per_second": 1_000}
    with running(SandboxOptions(vendors=("delivrai",), sizes=sizes)) as announcement:
        yield announcement


@pytest.fixture
def org(sandbox_of_delivrai: dict[str, Any]) -> Organization:
    found = Organization.of(sandbox_of_delivrai)
    found.ask("POST", "reset", {})
    return found


@pytest.mark.parametrize("options", [{}, WINDOWS], ids=["by cursor", "by windows"])
def test_a_first_read_brings_every_signal_with_the_vendors_own_bytes(
    org: Organization, options: dict[str, Any]
) -> None:
    records = records_of(org.read(**options))
    assert [json.loads(record.payload) for record in records] == org.truth()
    assert [record.external_id for record in records] == [signal["id"] for signal in org.truth()]


def test_the_first_read_reaches_ninety_days_back_and_not_further(org: Organization) -> None:
    now = datetime.now(UTC)
    (old,) = org.mutate("IntentSignal", "create", stamp=(now - timedelta(days=91)).isoformat())
    (young,) = org.mutate("IntentSignal", "create", stamp=(now - timedelta(days=89)).isoformat())
    found = ids_of(org.read())
    assert young in found
    assert old not in found


def test_companies_are_known_by_their_domain_in_lower_case(org: Organization) -> None:
    records = records_of(org.read(COMPANIES, limit=50))
    assert [record.external_id for record in records] == [one["domain"].lower() for one in org.truth("Company")]
    assert [json.loads(record.payload) for record in records] == org.truth("Company")
    assert len(org.requests("company-enrichment")) == 3


@pytest.mark.parametrize(
    ("stream", "options"),
    [
        (SIGNALS, {"limit": 40}),
        (SIGNALS, {"limit": 3, **WINDOWS}),
        (SIGNALS, {"limit": 2, **PUBLIC}),
        (COMPANIES, {"limit": 25}),
        (COMPANIES, {"limit": 25, **PUBLIC}),
        (COMPANIES, {"limit": 25, **AUDIENCE}),
    ],
)
def test_resuming_from_each_checkpoint_gives_exactly_the_rest(
    org: Organization, stream: str, options: dict[str, Any]
) -> None:
    until = soon()
    pages = org.read(stream, full(until=until), **options)
    assert len(pages) > 3
    for number in range(0, len(pages) - 1, max(1, len(pages) // 6)):
        rest = org.read(stream, full(pages[number].checkpoint, until), **options)
        assert records_of(rest) == records_of(pages[number + 1 :])
        assert rest[-1].watermark == pages[-1].watermark


@pytest.mark.parametrize("options", [{}, WINDOWS, PUBLIC], ids=["by cursor", "by windows", "public"])
def test_the_next_read_brings_new_and_late_signals(org: Organization, options: dict[str, Any]) -> None:
    watermark = org.read(**options)[-1].watermark
    assert watermark is not None
    hours_ago = (datetime.fromisoformat(watermark) - timedelta(hours=23)).isoformat()
    fresh = org.mutate("IntentSignal", "create", count=2) + org.mutate("IntentSignal", "create", stamp=hours_ago)
    found = {name.rpartition("_")[2] for name in ids_of(org.read(start=since(watermark), **options))}
    assert {name.rpartition("_")[2] for name in fresh} <= found
    assert len(found) < 20


def test_signals_of_after_the_upper_bound_are_left_for_the_next_read(org: Organization) -> None:
    until = datetime.now(UTC)
    (beyond,) = org.mutate("IntentSignal", "create", stamp=(until + timedelta(hours=1)).isoformat())
    pages = org.read(start=full(until=until))
    assert beyond not in ids_of(pages)
    assert sum(page.skipped for page in pages) == 1
    assert beyond in ids_of(org.read(start=since(pages[-1].watermark, until + timedelta(hours=2))))


def test_events_of_the_public_api_become_signals_and_keep_their_own_bytes(org: Organization) -> None:
    truth = org.truth()
    records = records_of(org.read(**PUBLIC))
    assert len(records) == len(truth)
    for record, signal in zip(records, truth, strict=True):
        fields = json.loads(record.payload)
        row = fields.pop("vendorRecord")
        assert fields["id"] == record.external_id == row["event_id"]
        assert fields["personId"] == row["hem"]
        for name in ("personEmail", "accountDomain", "contentUrl", "contentTopic", "sessionId"):
            assert fields[name] == signal[name]
        assert datetime.fromisoformat(fields["occurredAt"]) == datetime.fromisoformat(signal["occurredAt"])
        assert fields["dwellTimeSeconds"] is None


def test_windows_of_events_are_never_longer_than_the_vendor_allows(org: Organization) -> None:
    org.read(**PUBLIC)
    asked = [dict(part.split("=") for part in one["query"].split("&")) for one in org.requests("/events")]
    bounds = sorted({(int(one["start_ms"]), int(one["end_ms"])) for one in asked})
    assert all(end - start < 25 * 3_600_000 for start, end in bounds)
    assert all(after[0] == before[1] + 1 for before, after in pairwise(bounds))


@pytest.mark.parametrize(("options", "name"), [(PUBLIC, None), (AUDIENCE, "name")], ids=["topic", "audience"])
def test_companies_of_the_public_api_have_the_contracts_names(
    org: Organization, options: dict[str, Any], name: str | None
) -> None:
    records = records_of(org.read(COMPANIES, **options))
    for record, company in zip(records, org.truth("Company"), strict=True):
        fields = json.loads(record.payload)
        assert fields["domain"] == record.external_id == company["domain"].lower()
        assert fields["name"] == (company["name"] if name else None)


@pytest.mark.parametrize("options", [PUBLIC, WINDOWS], ids=["public", "by windows"])
def test_latency_does_not_bound_the_rate_and_the_limit_is_never_exceeded(
    org: Organization, options: dict[str, Any]
) -> None:
    org.break_("slow", latency_ms=100)
    org.read(requests_per_second=25, **options)
    times = [one["at"] for one in org.requests() if "whoami" not in one["path"]]
    assert len(times) > 80
    assert (len(times) - 1) / (times[-1] - times[0]) >= 0.6 * 25
    for first, beyond in zip(times, times[25:], strict=False):
        assert beyond - first > 1.0


def test_a_reader_that_stops_early_leaves_nothing_running(org: Organization) -> None:
    session = org.session(limit=3, **WINDOWS)
    pages = iter(CONNECTOR.read(session, CONNECTOR.streams[0], full()))
    first = next(pages)
    pages.close()  # type: ignore[attr-defined]
    session.close()
    assert first.checkpoint is not None
    assert session.usage["requests"] <= 60
