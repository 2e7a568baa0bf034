"""Connecting again while a sync runs: the new grant stands, whichever of the two is first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from gtmc_pipelines.connectors.login import Grant
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.errors import Reauthorize
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.model.records import Health
from gtmc_pipelines.storage import connector_states
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.cursors import StreamState, list_states, put_state
from gtmc_pipelines.storage.o365 import accept_dpa, withdraw_dpa
from gtmc_pipelines.storage.read_models import due_connectors
from gtmc_pipelines.vault.keyring import KeyRing, generate_key_hex
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.activities import open_sync, renormalize
from gtmc_pipelines.workflows.authorization import Connected, Proven, connect_by_keys
from gtmc_pipelines.workflows.inputs import SyncRequest
from gtmc_pipelines_tests.workflows.conftest import Stage
from gtmc_pipelines_tests.workflows.scripted import Gate, people

pytestmark = pytest.mark.services

REVOKED = Reauthorize("grant_revoked", "The grant was revoked.", next_step="Connect again.")


def _connect(stage: Stage, row: ConnectorRow, organization: str = "", **secrets: str) -> Connected:
    """Store a grant that has proved to work, as every way of connecting does in the end."""
    options: Mapping[str, Any] = {"organization_id": organization} if organization else {}
    grant = Grant({name: Secret(value) for name, value in secrets.items()}, options, organization)
    health = Health(True, "https://vendor.example", "It answers.")
    return connect_by_keys(stage.settings, stage.database, row, Proven(grant, health), actor="anna")


def _is_due(stage: Stage) -> bool:
    return stage.tenant in {
        each.tenant_id for each in due_connectors(stage.database, stage.row.type, datetime.now(UTC))
    }


def _cursors(stage: Stage) -> list[StreamState]:
    with stage.database.tenant(stage.tenant) as handle:
        return list_states(handle, stage.tenant, stage.row.id)


def test_a_grant_stored_during_a_sync_outlives_the_refusal_of_the_old_one(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [people(5), gate, REVOKED]}
    handle = stage.start()
    assert gate.reached.wait(20)
    _connect(stage, stage.now, access_token="of the new login")
    assert stage.status is ConnectorStatus.SYNCING, "a sync of the same account goes on"
    gate.opened.set()
    assert stage.client.outcome(handle).error_code == "grant_revoked"
    assert (stage.status, stage.now.error_code) == (ConnectorStatus.CONNECTED, None)
    assert _is_due(stage)


def test_a_grant_stored_after_a_sync_failed_ends_the_error_although_the_login_began_before(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [people(5), gate, REVOKED]}
    handle = stage.start()
    assert gate.reached.wait(20)
    before_the_login_page = stage.now
    gate.opened.set()
    stage.client.outcome(handle)
    assert stage.now.error_code == "grant_revoked"
    _connect(stage, before_the_login_page, access_token="of the new login")
    assert (stage.status, stage.now.error_code) == (ConnectorStatus.CONNECTED, None)
    assert _is_due(stage)


def test_a_sync_that_began_during_the_login_keeps_its_status(stage: Stage) -> None:
    gate, before_the_login_page = Gate(), stage.now
    stage.connector.script = {"contacts": [people(5), gate]}
    handle = stage.start()
    assert gate.reached.wait(20)
    _connect(stage, before_the_login_page, access_token="of the new login")
    assert stage.status is ConnectorStatus.SYNCING
    gate.opened.set()
    assert stage.client.outcome(handle).is_success


def test_a_refusal_of_the_new_grant_is_an_error_as_ever(stage: Stage) -> None:
    _connect(stage, stage.now, access_token="of the new login")
    stage.connector.script = {"contacts": [REVOKED]}
    stage.sync()
    assert (stage.status, stage.now.error_code) == (ConnectorStatus.ERROR, "grant_revoked")


def test_connecting_another_organization_cuts_a_running_sync_off_and_everything_is_read_again(stage: Stage) -> None:
    _connect(stage, stage.now, "org-one", access_token="one")
    stage.connector.script = {"contacts": [people(5)]}
    assert stage.sync().is_success
    assert _cursors(stage)
    gate = Gate()
    stage.connector.script = {"contacts": [people(5), gate, people(5, 5)]}
    cut_off = stage.start()
    assert gate.reached.wait(20)
    assert _connect(stage, stage.row, "org-two", access_token="two").starts_over
    assert _cursors(stage) == []
    gate.opened.set()
    assert stage.client.outcome(cut_off).error_code == "lease_lost"
    assert _cursors(stage) == []
    assert stage.status is ConnectorStatus.CONNECTED
    assert stage.now.options["organization_id"] == "org-two"
    stage.connector.script = {"contacts": [people(7, 100)]}
    again = stage.sync()
    assert (again.mode, again.totals.created) == (SyncMode.FULL, 7)


def test_connecting_the_same_organization_again_goes_on_where_the_last_sync_ended(stage: Stage) -> None:
    _connect(stage, stage.now, "org-one", access_token="one")
    stage.sync()
    assert not _connect(stage, stage.now, "org-one", access_token="two").starts_over
    assert stage.sync().mode is SyncMode.INCREMENTAL


def test_a_connector_that_is_disconnected_during_a_sync_stays_so(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [people(5), gate, people(5, 5)]}
    handle = stage.start()
    assert gate.reached.wait(20)
    connector_states.disconnect(stage.database, stage.tenant, stage.row.id, actor="anna")
    kept = stage.ids()
    gate.opened.set()
    outcome = stage.client.outcome(handle)
    assert (outcome.outcome, outcome.error_code) == (Outcome.FAILED, "lease_lost")
    assert (stage.status, stage.now.last_sync_error) == (ConnectorStatus.DISCONNECTED, None)
    assert (stage.ids(), _cursors(stage), stage.lease) == (kept, [], None)


@pytest.mark.parametrize("opening", [open_sync, renormalize], ids=["sync", "re-normalisation"])
def test_a_connector_that_is_disconnected_just_as_something_begins_stays_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, opening: ModuleType
) -> None:
    chosen = open_sync.selected_streams

    def disconnecting(request: SyncRequest) -> Any:
        if stage.status is not ConnectorStatus.DISCONNECTED:
            connector_states.disconnect(stage.database, stage.tenant, stage.row.id, actor="anna")
        return chosen(request)

    monkeypatch.setattr(opening, "selected_streams", disconnecting)
    if opening is open_sync:
        assert stage.sync().error_code == "not_connected"
    else:  # it needs no credentials
        assert stage.client.outcome(stage.client.renormalize(stage.request(), datetime.now(UTC))).is_success
    assert (stage.status, stage.now.last_sync_error) == (ConnectorStatus.DISCONNECTED, None)
    assert stage.lease is None


@pytest.mark.parametrize("kind", [ConnectorType.FATHOM, ConnectorType.DELIVRAI, ConnectorType.CUSTOMERIO])
def test_another_key_may_be_another_accounts_so_everything_is_read_again(make_stage: Any, kind: ConnectorType) -> None:
    with make_stage(with_worker=False, kind=kind) as stage:
        _connect(stage, stage.row, api_key="of account one")
        with stage.database.tenant(stage.tenant) as handle:
            put_state(handle, stage.tenant, stage.row.id, StreamState("meetings", watermark="2026-11-27T10:00:00Z"))
        assert not _connect(stage, stage.row, api_key="of account one", api_secret="new").starts_over
        assert len(_cursors(stage)) == 1
        assert _connect(stage, stage.row, api_key="of account two").starts_over
        assert _cursors(stage) == []


def test_a_key_sealed_with_a_lost_encryption_key_is_replaced_and_everything_is_read_again(make_stage: Any) -> None:
    with make_stage(with_worker=False, kind=ConnectorType.FATHOM) as stage:
        lost = KeyRing.from_hex(generate_key_hex())
        StoredCredentials(stage.database, lost, stage.tenant, stage.row.id).save({"api_key": Secret("sealed away")})
        assert _connect(stage, stage.row, api_key="of account one").starts_over
        assert stage.status is ConnectorStatus.CONNECTED


def test_an_agreement_accepted_again_brings_back_the_connector_that_stopped_for_it(make_stage: Any) -> None:
    with make_stage(kind=ConnectorType.O365) as stage:
        _accept(stage)
        gate = Gate()
        stage.connector.script = {"email_metadata": [people(5), gate, people(5, 5)]}
        handle = stage.start()
        assert gate.reached.wait(20)
        withdraw_dpa(stage.database, stage.tenant, actor="test", at=datetime.now(UTC))
        gate.opened.set()
        assert stage.client.outcome(handle).error_code == "dpa_not_accepted"
        assert (stage.status, _is_due(stage)) == (ConnectorStatus.ERROR, False)
        _accept(stage)
        assert (stage.status, stage.now.error_code, stage.now.last_sync_error) == (
            ConnectorStatus.CONNECTED,
            None,
            None,
        )
        assert _is_due(stage)


def test_an_agreement_accepted_before_the_books_close_leaves_no_error_behind(make_stage: Any) -> None:
    with make_stage(kind=ConnectorType.O365) as stage:
        _accept(stage)
        withdrawn = Reauthorize("dpa_not_accepted", "Not accepted.", next_step="Accept it.")
        stage.connector.script = {"email_metadata": [people(5), withdrawn]}
        assert stage.sync().error_code == "dpa_not_accepted"
        assert (stage.status, stage.now.error_code) == (ConnectorStatus.CONNECTED, None)


def test_accepting_the_agreement_mends_no_other_error(make_stage: Any) -> None:
    with make_stage(kind=ConnectorType.O365) as stage:
        _accept(stage)
        stage.connector.script = {"email_metadata": [REVOKED]}
        stage.sync()
        _accept(stage)
        assert (stage.status, stage.now.error_code) == (ConnectorStatus.ERROR, "grant_revoked")


def _accept(stage: Stage) -> None:
    accept_dpa(stage.database, stage.tenant, actor="test", dpa_version="1", at=datetime.now(UTC))
