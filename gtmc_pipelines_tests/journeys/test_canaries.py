"""After real syncs of all five vendors at log level DEBUG, with trouble on the way, no secret is found anywhere but
sealed, and no person anywhere but in the tables made for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.phases import Outcome
from gtmc_pipelines_tests.journeys import canary_story
from gtmc_pipelines_tests.journeys.canaries import Net, addresses
from gtmc_pipelines_tests.journeys.canary_scene import TENANT
from gtmc_pipelines_tests.journeys.canary_story import Story

pytestmark = pytest.mark.services

SEALED = re.compile(rb"gtmc2\.[0-9a-f]{8}\.[\w-]{20,}")
SEALED_COLUMNS = {"public.connectors", "public.erasure_keys"}
PEOPLES = {f"public.{name}" for name in ("accounts", "people", "opportunities", "activities", "intent_signals")}
PEOPLES |= {"public.fathom_meetings", "public.dead_letters"}


@pytest.fixture(scope="module")
def story(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Everything that happened, and all that was left behind by it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield canary_story.told(tmp_path_factory.mktemp("canaries"), postgres_url, monkeypatch)


def test_the_story_is_the_one_that_was_to_be_told(story: Story) -> None:
    assert {outcome.outcome for outcome in story.first.values()} == {Outcome.COMPLETED}, story.first
    assert {outcome.outcome for outcome in story.spoilt.values()} == {Outcome.FAILED}, story.spoilt
    assert story.runs == {True: set(ConnectorType), False: set(ConnectorType)}
    assert story.unstruck == [], story.unstruck
    wanted = {"first salesforce refresh_token", "renewed salesforce refresh_token", "first delivrai api_secret"}
    assert story.secrets.keys() >= wanted | {"salesforce code", "tombstone key", "Office 365 token 2"}
    assert story.secrets["first salesforce refresh_token"] != story.secrets["renewed salesforce refresh_token"]


def test_the_audit_log_says_who_did_what_in_it(story: Story) -> None:
    by_hand = {"tenant.create", "o365.accept_dpa", "o365.domains", "person.erase", "keys.rotate", "sync.start"}
    by_hand |= {f"connector.{done}" for done in ("create", "connect", "disconnect")}
    by_worker = {"connector.renew_token", "connector.token_refused"}
    # `verify` asks once more when the worker's refusal is more than half a minute old, as on a busy machine.
    assert story.audited - {("connector.token_refused", "cli")} == {
        *((action, "cli") for action in by_hand),
        *((action, "worker") for action in by_worker),
        ("sync.start", "dagster"),
    }


@pytest.mark.parametrize(
    ("place", "trace"),
    [
        *(("worker.log", text) for text in (TENANT, " DEBUG ")),
        *((f"temporal.db{table}", TENANT) for table in ("", ":history_node", ":executions_visibility")),
        *((f"public.{table}", TENANT) for table in ("event_logs", "runs", "sync_logs", "audit_log")),
        ("public.snapshots", "salesforce_sync"),  # compressed
        ("`gtmc connectors show` printed", TENANT),
        ("the exception of `gtmc connectors verify`", "Traceback"),
        ("the exception of the alerts", "GTMC_ALERT_WEBHOOK_URL"),
        ("what the webhook was told", TENANT),
        ("what a run of fathom failed with", TENANT),
    ],
)
def test_the_net_was_held_where_the_story_left_its_traces(story: Story, place: str, trace: str) -> None:
    assert any(place in where and trace.encode() in content for where, content in story.places)


def test_no_secret_is_found_anywhere(story: Story) -> None:
    net = Net(story.secrets)
    assert [found for place in story.places for found in net.caught(place)] == []


def test_what_is_sealed_stays_in_its_columns(story: Story) -> None:
    found = {where for where, content in story.places if SEALED.search(content)}
    assert found == SEALED_COLUMNS


def test_people_stand_in_their_own_tables_only(story: Story) -> None:
    theirs = {where: addresses(content) & story.people.addresses for where, content in story.places}
    assert {where for where, found in theirs.items() if found and not _is_peoples(where)} == set()
    assert len(theirs["public.people"]) > 100
    named = {where for where, content in story.places if story.people.names_in(content)}
    assert {where for where in named if not _is_peoples(where)} == set()
    assert named >= {"public.people", "public.fathom_meetings", "raw.salesforce_contacts"}


@pytest.mark.parametrize("kind", ConnectorType)
def test_raw_tables_of_a_vendor_hold_that_vendors_people_only(story: Story, kind: ConnectorType) -> None:
    raw = [content for where, content in story.places if where.startswith(f"raw.{kind}_")]
    found = set().union(*map(addresses, raw)) & story.people.addresses
    assert found
    assert found <= story.people.of[kind]


def test_nobody_outside_the_agreement_and_nothing_anybody_wrote_is_kept_of_office_365(story: Story) -> None:
    everything = b"\n".join(content for _, content in story.places)
    assert story.people.strangers
    assert story.people.strangers & addresses(everything) == set()
    assert story.people.phrases
    assert [phrase for phrase in story.people.phrases if phrase in everything] == []
    (kept,) = (content for where, content in story.places if where == "raw.o365_email_metadata")
    assert addresses(kept)
    assert {found.rpartition(b"@")[2] for found in addresses(kept)} <= story.people.allowed_domains


def test_an_erased_person_is_nowhere_although_the_vendors_still_have_them(story: Story) -> None:
    assert [where for where, content in story.places if story.people.erased in addresses(content)] == []


def _is_peoples(where: str) -> bool:
    return where.startswith("raw.") or where in PEOPLES
