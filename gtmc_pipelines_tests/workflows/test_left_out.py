"""A sync with members left out is completed, says which, and gets over them by itself; slices are scripted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Broken, Retry
from gtmc_pipelines.model.phases import Outcome
from gtmc_pipelines.model.records import Page, ReadFrom, Slice, SourceRecord
from gtmc_pipelines.storage.left_out import LeftOut, list_left_out, long_left_out
from gtmc_pipelines.storage.o365 import accept_dpa
from gtmc_pipelines_tests.workflows.conftest import Stage

pytestmark = pytest.mark.services
STREAM = "email_metadata"


class Group:
    """A group of members with one record each; `faults` are raised by those they are for."""

    def __init__(self, keys: str) -> None:
        self.keys = list(keys)
        self.faults: dict[str, Exception] = {}

    def slices(self, session: Any, stream: Stream) -> Sequence[Slice]:
        return [Slice(key) for key in self.keys]

    def read(self, session: Any, stream: Stream, start: ReadFrom) -> Iterator[Page]:
        if start.slice in self.faults:
            raise self.faults[start.slice]
        record = SourceRecord(start.slice, b'{"Name": "email_thread", "At": "2026-01-01T00:00:00Z"}', datetime.now(UTC))
        yield Page([record], None, start.until.isoformat())


def _left_out(stage: Stage) -> dict[str, LeftOut]:
    with stage.database.tenant(stage.tenant) as handle:
        return {each.slice: each for each in list_left_out(handle, stage.tenant, stage.row.id)}


def test_members_that_fail_are_on_the_log_and_on_the_check_and_come_back(
    make_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_stage(kind=ConnectorType.O365) as stage:
        accept_dpa(stage.database, stage.tenant, actor="test", dpa_version="1", at=datetime.now(UTC))
        group = Group("abcd")
        monkeypatch.setattr(stage.connector, "slices", group.slices)
        monkeypatch.setattr(stage.connector, "read", group.read)
        group.faults = {"a": Retry("vendor_unavailable", "Down."), "c": Broken("not_found", "Unknown.")}
        for times in (1, 2, 3):
            outcome = stage.sync()
            assert outcome.outcome is Outcome.COMPLETED, outcome
            told = stage.log(outcome.sync_log_id).stream_counts[STREAM]["left_out"]
            assert (told["count"], told["reasons"]) == (2, {"not_found": 1, "vendor_unavailable": 1})
            assert {each["slice"] for each in told["slices"]} == {"a", "c"}
            assert {each.syncs_in_a_row for each in _left_out(stage).values()} == {times}
            red = [
                each for each in long_left_out(stage.database, ConnectorType.O365, 3) if each.tenant_id == stage.tenant
            ]
            assert len(red) == (2 if times == 3 else 0)
        assert stage.ids("activities") == ["b", "d"]
        group.faults = {}
        assert stage.sync().outcome is Outcome.COMPLETED
        assert _left_out(stage) == {}
        assert stage.ids("activities") == ["a", "b", "c", "d"]
        group.faults = dict.fromkeys("abcd", Broken("not_found", "Unknown."))
        outcome = stage.sync()
        assert outcome.outcome is Outcome.FAILED
        assert "Unknown." in outcome.failed_streams[STREAM]
