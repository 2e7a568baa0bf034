"""The whole way once for each subject: a real Temporal server, a real worker, two syncs, the truth."""

import time
import uuid
from datetime import UTC, datetime

import pytest

from gtmc_pipelines.model.phases import Outcome, SyncMode, Trigger
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.inputs import SyncRequest
from gtmc_pipelines_tests.acceptance.cases import each_subject
from gtmc_pipelines_tests.acceptance.conftest import MakeStage
from gtmc_pipelines_tests.acceptance.subject import Subject
from gtmc_pipelines_tests.workflows.conftest import running_worker

pytestmark = pytest.mark.services


@each_subject
def test_two_syncs_by_a_worker_bring_everything_and_then_what_changed(
    make_stage: MakeStage, subject: Subject, temporal_address: str
) -> None:
    stage = make_stage(TEMPORAL_ADDRESS=temporal_address, GTMC_TASK_QUEUE=f"acceptance-{uuid.uuid4().hex[:12]}")
    request = SyncRequest(stage.tenant, stage.row.id, subject.type, trigger=Trigger.CLI)
    with running_worker(stage.settings, stage.database), SyncClient.open(stage.settings) as client:
        first = client.outcome(client.start(request, datetime.now(UTC)))
        assert (first.outcome, first.mode) == (Outcome.COMPLETED, SyncMode.FULL), first
        stage.assert_true()
        stage.mutate(*(change for case in subject.streams for change in case.changes))
        _next_second()
        second = client.outcome(client.start(request, datetime.now(UTC)))
        assert (second.outcome, second.mode) == (Outcome.COMPLETED, SyncMode.INCREMENTAL), second
        assert second.totals.changed > 0
        assert second.totals.is_balanced
        stage.assert_true()


def _next_second() -> None:
    """Stamps of whole seconds: what was changed in this very second is behind the upper bound only in the next."""
    second = int(time.time())
    while int(time.time()) == second:
        time.sleep(0.02)
