"""What a workflow is started with is understood, or refused in words: never a task that fails and repeats."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowFailureError
from temporalio.common import RawValue
from temporalio.converter import DataConverter
from temporalio.exceptions import ActivityError, ApplicationError

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.ids import workflow_id
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.storage.sync_history import list_syncs
from gtmc_pipelines.workflows import inputs
from gtmc_pipelines.workflows.closed_feed import closed_since
from gtmc_pipelines.workflows.connection import connect
from gtmc_pipelines.workflows.documented_inputs import RENORMALIZE_FORM, SCHEDULED_FORM, SYNC_FORM, Form
from gtmc_pipelines.workflows.inputs import (
    INPUT_VERSION,
    OUTSIDE,
    RENORMALIZE_WORKFLOW,
    SCHEDULED_WORKFLOW,
    SYNC_WORKFLOW,
    ScheduledRequest,
    SyncOutcome,
    SyncRequest,
    as_replay,
)
from gtmc_pipelines_tests.workflows.conftest import Stage
from gtmc_pipelines_tests.workflows.scripted import people

FORMS: list[Form[Any]] = [SYNC_FORM, RENORMALIZE_FORM, SCHEDULED_FORM]
KEYS = sorted({key for form in FORMS for key in (*form.keys, *(field.name for field in fields(form.request)))})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=8,
)
NAMED = {"tenantId": "acme", "connectorId": "c-1"}
WRONG_SYNCS: list[tuple[Any, str]] = [
    ({}, "tenantId is missing; connectorId is missing"),
    ({"tenantId": "acme"}, "connectorId is missing"),
    ({**NAMED, "fullsync": True}, "'fullsync' is no key"),
    ({**NAMED, "fullSync": "yes"}, "fullSync must be true or false"),
    ({**NAMED, "fullSync": 1}, "fullSync must be true or false"),
    ({**NAMED, "fullSync": None}, "fullSync must be true or false"),
    ({"tenantId": 7, "connectorId": "c-1"}, "tenantId must be a text"),
    ({"tenantId": " ", "connectorId": "c-1"}, "tenantId must be a text"),
    ({"tenantId": "acme", "connectorId": ["c-1"]}, "connectorId must be a text"),
    ({"tenantId": "acme", "connector_id": "c-1"}, "'connector_id' is no key"),
    ({"tenant_id": "acme"}, "connector_id is missing"),
    ({"tenant_id": "acme", "connector_id": "c-1", "fullSync": True}, "'fullSync' is no key"),
    ({"tenant_id": "acme", "connector_id": "c-1", "mode": "sideways"}, "mode is missing or of the wrong type"),
    ({"tenant_id": "", "connector_id": "c-1"}, "the tenant's id is empty"),
    ("acme", "something else"),
    (None, "something else"),
    ([NAMED], "something else"),
]
WRONG_SCHEDULES: list[tuple[Any, str]] = [
    ({"tenantID": "acme"}, "'tenantID' is no key"),
    ({"tenantId": "acme", "allTenants": True}, "names a tenant and asks for all"),
    ({"allTenants": False}, "allTenants can only be true"),
    ({"allTenants": "true"}, "allTenants can only be true"),
    ({"tenantId": ""}, "tenantId must be a text"),
    ({"tenantId": "acme", "connectorType": "hubspot"}, "connectorType must be one of salesforce"),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.workflow)
@settings(max_examples=40)
@given(arguments=st.lists(JSON, max_size=3))
def test_whatever_is_given_is_understood_or_refused(form: Form[Any], arguments: list[Any]) -> None:
    try:
        answer = form.understood(arguments)
    except Misuse as error:
        answer = error
    is_refused = isinstance(answer, Misuse) and answer.code == "bad_input" and form.workflow in answer.sentence
    assert is_refused or isinstance(answer, form.request)


@pytest.mark.parametrize(("value", "why"), WRONG_SYNCS)
def test_a_wrong_sync_input_is_named(value: Any, why: str) -> None:
    with pytest.raises(Misuse) as caught:
        SYNC_FORM.understood([value])
    assert why in caught.value.sentence


@pytest.mark.parametrize(("value", "why"), WRONG_SCHEDULES)
def test_a_wrong_schedule_is_named(value: Any, why: str) -> None:
    with pytest.raises(Misuse) as caught:
        SCHEDULED_FORM.understood([value])
    assert why in caught.value.sentence


def test_documented_inputs_become_our_requests() -> None:
    asked = SyncRequest("acme", "c-1", None, requested_by=OUTSIDE)
    assert SYNC_FORM.understood([NAMED]) == asked
    full = SYNC_FORM.understood([{**NAMED, "fullSync": True}])
    assert (full.mode, full.trigger) == (SyncMode.FULL, Trigger.MANUAL)
    assert RENORMALIZE_FORM.understood([NAMED]).trigger is Trigger.RENORMALIZE
    assert SCHEDULED_FORM.understood([{"tenantId": "acme"}]) == ScheduledRequest("acme")
    everybody = SCHEDULED_FORM.understood([{"allTenants": True, "connectorType": "fathom", "fullSync": True}])
    assert everybody == ScheduledRequest("", ConnectorType.FATHOM, SyncMode.FULL, all_tenants=True)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.workflow)
def test_our_own_requests_of_every_version_are_understood(form: Form[Any]) -> None:
    request = as_replay(SyncRequest("acme", "c-1", ConnectorType.FATHOM, streams=("meetings",), letters=(1, 2)))
    ours = request if form.request is SyncRequest else ScheduledRequest("acme", at=datetime(2026, 2, 1, tzinfo=UTC))
    sent = TypeAdapter(form.request).dump_python(ours, mode="json")
    assert form.understood([sent]) == ours
    older = {key: value for key, value in sent.items() if key not in ("version", "all_tenants", "confirm_deletions")}
    assert form.understood([older]) == ours
    newer = form.understood([{**sent, "version": INPUT_VERSION + 1, "later_field": 5}])
    assert newer.version == INPUT_VERSION + 1, "continued as new, it still says that it came from a newer one"
    with pytest.raises(Misuse, match="'later_field' is no key"):
        form.understood([{**sent, "later_field": 5}])


def test_a_new_field_comes_with_a_higher_version() -> None:
    """An older worker refuses what it doesn't know, unless the version says that it can't know it."""
    known = {
        1: (
            "tenant_id connector_id connector_type mode streams trigger requested_by dagster_run_id heartbeat_seconds "
            "segments_per_run plan letters version",
            "tenant_id connector_type mode at window per_run heartbeat_seconds after processed succeeded failed "
            "all_tenants version",
        ),
        2: (
            "tenant_id connector_id connector_type mode streams trigger requested_by dagster_run_id heartbeat_seconds "
            "segments_per_run plan letters version confirm_deletions",
            "tenant_id connector_type mode at window per_run heartbeat_seconds after processed succeeded failed "
            "all_tenants version",
        ),
    }
    now = tuple(" ".join(field.name for field in fields(each)) for each in (SyncRequest, ScheduledRequest))
    assert known[INPUT_VERSION] == now, "raise INPUT_VERSION and write the new fields down here"


def test_the_page_documents_every_key_search_attribute_and_outcome() -> None:
    page = (Path(inputs.__file__).parent / "README.md").read_text()
    words = {key for form in FORMS for key in (form.workflow, *form.keys)}
    words |= {key.name for key in inputs.SEARCH_KEYS} | {field.name for field in fields(SyncOutcome)} | {"bad_input"}
    assert [word for word in sorted(words) if word not in page] == []


async def _executed(stage: Stage, workflow: str, *arguments: Any, name: str = "", plain: bool = False) -> Any:
    """The result of a workflow started as another Temporal client would start it."""
    client = await connect(stage.settings.required("temporal_address"), stage.settings.temporal_namespace)
    if plain:
        client = type(client)(client.service_client, namespace=client.namespace, data_converter=DataConverter.default)
    name = name or f"documented-{uuid.uuid4()}"
    async with asyncio.timeout(30):
        queue = stage.settings.task_queue
        return await client.execute_workflow(workflow, args=list(arguments), id=name, task_queue=queue)


async def _failure(stage: Stage, workflow: str, *arguments: Any, plain: bool = False) -> BaseException:
    with pytest.raises(WorkflowFailureError) as caught:
        await _executed(stage, workflow, *arguments, plain=plain)
    return caught.value.cause


@pytest.mark.services
def test_the_documented_sync_works(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(5)]}
    given = {"tenantId": stage.tenant, "connectorId": stage.row.id, "fullSync": True}
    name = workflow_id(stage.tenant, stage.row.id, datetime.now(UTC))
    outcome = SyncOutcome.of(asyncio.run(_executed(stage, SYNC_WORKFLOW, given, name=name, plain=True)))
    assert (outcome.is_success, outcome.mode, outcome.totals.created) == (True, SyncMode.FULL, 5)
    assert ("sync.start", OUTSIDE) in stage.audited(20)
    asyncio.run(_executed(stage, RENORMALIZE_WORKFLOW, {"tenantId": stage.tenant, "connectorId": stage.row.id}))
    swept = asyncio.run(_executed(stage, SCHEDULED_WORKFLOW, {"tenantId": stage.tenant}, plain=True))
    assert swept == {"processed": 1, "succeeded": 1, "failed": 0}
    types = [(log.sync_type, log.trigger) for log in list_syncs(stage.database, stage.tenant)]
    assert types == [
        (SyncMode.INCREMENTAL, Trigger.SCHEDULE),
        (SyncMode.INCREMENTAL, Trigger.RENORMALIZE),
        (SyncMode.FULL, Trigger.MANUAL),
    ]

    async def feed() -> set[tuple[str, str, str]]:
        client = await connect(stage.settings.required("temporal_address"), stage.settings.temporal_namespace)
        page = await closed_since(client, None, limit=1000)
        return {(s.tenant_id, s.connector_type, s.phase) for s in page.syncs if stage.row.id in s.workflow_id}

    assert (stage.tenant, "salesforce", "complete") in asyncio.run(feed()), "found in Temporal by its attributes"


@pytest.mark.services
def test_what_is_not_understood_fails_the_workflow_at_once(stage: Stage) -> None:
    sealed = RawValue(Payload(metadata={"encoding": b"binary/encrypted"}, data=b"nobody here has the key"))
    garbled = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b'{"tenantId": '))

    async def refused() -> list[BaseException]:
        calls = [_failure(stage, SYNC_WORKFLOW, value) for value, _ in WRONG_SYNCS]
        calls += [_failure(stage, SCHEDULED_WORKFLOW, value) for value, _ in WRONG_SCHEDULES]
        calls += [_failure(stage, each) for each in (SYNC_WORKFLOW, RENORMALIZE_WORKFLOW, SCHEDULED_WORKFLOW)]
        calls += [_failure(stage, SYNC_WORKFLOW, stage.tenant, stage.row.id, True)]
        calls += [_failure(stage, SYNC_WORKFLOW, value, plain=True) for value in (b"\x00\xff", sealed, garbled)]
        calls += [_failure(stage, SYNC_WORKFLOW, sealed, garbled, plain=True)]
        calls += [_failure(stage, RENORMALIZE_WORKFLOW, {**NAMED, "fullSync": True})]
        return await asyncio.gather(*calls)

    for failure in asyncio.run(refused()):
        assert isinstance(failure, ApplicationError)
        assert (failure.type, failure.non_retryable) == ("bad_input", True)
        assert "isn't understood" in failure.message
        assert "workflows/README.md" in failure.message
    assert list_syncs(stage.database, stage.tenant) == []


@pytest.mark.services
def test_a_scheduled_sync_takes_only_whom_it_names(stage: Stage) -> None:
    async def failures() -> list[BaseException]:
        return await asyncio.gather(
            _failure(stage, SCHEDULED_WORKFLOW, {"tenantId": "nobody"}),
            _failure(stage, SCHEDULED_WORKFLOW, {}),
            _failure(stage, SCHEDULED_WORKFLOW, ScheduledRequest()),
            _failure(stage, SYNC_WORKFLOW, {"tenantId": "nobody", "connectorId": stage.row.id}),
        )

    nobody, unnamed, ours, unknown = asyncio.run(failures())
    assert isinstance(nobody, ActivityError)
    assert "no tenant 'nobody'" in str(nobody.cause)
    assert "allTenants" in str(unnamed.cause)
    assert "allTenants" in str(ours.cause)
    assert isinstance(unknown, ApplicationError)
    assert list_syncs(stage.database, stage.tenant) == []
