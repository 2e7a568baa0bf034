"""A connected connector of a fresh tenant in front of its imitated vendor, synced by the code the worker runs.

The three activities run in order, as the workflow calls them, in Temporal's ActivityEnvironment: no
server, but every line that reads, maps, writes and keeps the books.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from gtmc_pipelines.cli.truth.compare import Verdict, compare
from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.model.catalog import STREAMS, canonical_tables
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import SyncFault
from gtmc_pipelines.model.phases import Outcome, SyncMode, Trigger
from gtmc_pipelines.model.records import Health
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.comparisons import Comparison, latest
from gtmc_pipelines.storage.connectors import ConnectorRow, require_connector
from gtmc_pipelines.storage.cursors import StreamState, list_states
from gtmc_pipelines.storage.dead_letters import DeadLetter, list_letters
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines.storage.sync_history import require_sync
from gtmc_pipelines.workflows.activities.registered import SyncActivities
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.activities.sessions import open_session
from gtmc_pipelines.workflows.inputs import (
    FaultNote,
    FinalizeRequest,
    SegmentResult,
    SyncOutcome,
    SyncPlan,
    SyncRequest,
)
from gtmc_pipelines_tests.acceptance.site import Change, Site
from gtmc_pipelines_tests.acceptance.subject import Subject

THIS_SECOND = timedelta(seconds=1)
"""Some vendors' stamps have whole seconds: a sync's upper bound is put behind the changes of this very second."""

_OUR_OWN = ("id", "tenant_id", "account_id", "created_at", "updated_at")

Rows = Mapping[str, Mapping[str, Any]]
"""By external id."""


@dataclass
class Stage:
    """One tenant, one connector, one imitated vendor.

    `waits` are the seconds it was decided to wait after bad answers (they are shortened), `broken` the faults
    that ended streams, `told` every sentence a user could have read. `attempts` is how often a segment that ends
    for now is run: once, unless a test says otherwise.
    """

    subject: Subject
    site: Site
    database: Database
    tenant: str
    row: ConnectorRow
    settings: Settings
    services: Services
    waits: list[float]
    broken: list[SyncFault]
    told: list[str] = field(default_factory=list)
    until: datetime | None = None
    segments: int = 0
    attempts: int = 1

    def sync(
        self, mode: SyncMode = SyncMode.INCREMENTAL, streams: tuple[str, ...] = (), *, is_confirmed: bool = False
    ) -> SyncOutcome:
        """A whole sync, whatever its end; the books are checked. Nothing is retried but by the connector itself."""
        self.broken.clear()
        self.segments = 0
        request = SyncRequest(
            self.tenant, self.row.id, self.subject.type, mode, streams, Trigger.CLI, confirm_deletions=is_confirmed
        )
        activities, run = SyncActivities(self.services), uuid.uuid4().hex
        plan, fault, outcome = None, None, Outcome.COMPLETED
        try:
            plan = self._open(activities, request, run)
            while not self._segment(activities, request, plan).is_complete:
                continue
        except ApplicationError as error:
            fault = FaultNote.behind(error)
            outcome = Outcome.DEFERRED if fault.until else Outcome.FAILED
        ended: SyncOutcome = _run(activities.finalize, FinalizeRequest(request, run, outcome, plan, fault))
        self._check_books(ended)
        return ended

    def completed(
        self, mode: SyncMode = SyncMode.INCREMENTAL, streams: tuple[str, ...] = (), *, is_confirmed: bool = False
    ) -> SyncOutcome:
        """A sync that must complete."""
        outcome = self.sync(mode, streams, is_confirmed=is_confirmed)
        assert outcome.is_success, (outcome.error_code, outcome.error, outcome.failed_streams)
        return outcome

    def health(self) -> Health:
        """The connector's cheap probe with the stored credentials."""
        session = open_session(self.services, self.row)
        try:
            found = connector_of(self.subject.type).health_check(session)
        finally:
            session.close()
        self.told.append(found.detail)
        return found

    def mutate(self, *changes: Change, stamp: datetime | None = None) -> int:
        """Make changes at the vendor; how many records."""
        return sum(len(self.site.mutate(change, stamp)) for change in changes)

    def verdict(self) -> Verdict:
        """All canonical tables against the vendor's truth."""
        return compare(self.database, self.tenant, self.subject.type, self.site.records)

    def assert_true(self) -> None:
        """The canonical tables say what the vendor says, and say something."""
        verdict = self.verdict()
        assert not verdict.differences, verdict.differences[:10]
        assert verdict.rows, "no rows were compared"

    @property
    def now(self) -> ConnectorRow:
        """The connector's row as it is stored now."""
        return require_connector(self.database, self.tenant, self.row.id)

    @property
    def states(self) -> dict[tuple[str, str], StreamState]:
        """Stored cursors by stream and slice."""
        with self.database.tenant(self.tenant) as handle:
            return {(one.stream, one.slice): one for one in list_states(handle, self.tenant, self.row.id)}

    @property
    def letters(self) -> list[DeadLetter]:
        """Open dead letters."""
        found = list_letters(self.database, self.tenant, self.row.id, limit=10_000)
        self.told += [letter.detail or "" for letter in found]
        return found

    def canonical(self, table: str) -> Rows:
        """Rows of a canonical table without what is ours alone (ids, times of writing); deletion as a fact."""
        found = self.select(f"SELECT to_jsonb(t) AS row FROM {table} t WHERE source = '{self.subject.type}'")
        plain = {}
        for each in found:
            row = {name: value for name, value in each["row"].items() if name not in _OUR_OWN}
            plain[row["external_id"]] = row | {"deleted_at": row["deleted_at"] is not None}
        return plain

    def versions(self) -> dict[str, dict[str, str]]:
        """PostgreSQL's own row versions (xmin) of every canonical row: they change with every write."""
        return {
            table: {
                each["external_id"]: each["version"]
                for each in self.select(
                    f"SELECT external_id, xmin::text AS version FROM {table} WHERE source = '{self.subject.type}'"
                )
            }
            for table in canonical_tables(self.subject.type)
        }

    def contents(self) -> dict[str, Any]:
        """Everything synced: canonical rows, landed payloads with their deletion marks, dead letters."""
        found: dict[str, Any] = {table: self.canonical(table) for table in canonical_tables(self.subject.type)}
        for stream in STREAMS[self.subject.type]:
            landed = self.select(f"SELECT external_id, payload, deleted FROM {stream.raw_table}")
            found[stream.raw_table] = {each["external_id"]: (each["payload"], each["deleted"]) for each in landed}
        found["letters"] = sorted((one.stream, str(one.external_id), one.reason_code) for one in self.letters)
        return found

    def _open(self, activities: SyncActivities, request: SyncRequest, run: str) -> SyncPlan:
        plan: SyncPlan = _run(activities.open_sync, request, run)
        assert not plan.held_by
        assert plan.until is not None
        self.until = plan.until + THIS_SECOND
        return replace(plan, until=self.until)

    def _segment(self, activities: SyncActivities, request: SyncRequest, plan: SyncPlan) -> SegmentResult:
        for left in reversed(range(self.attempts)):
            self.segments += 1
            try:
                result: SegmentResult = _run(activities.sync_segment, request, plan)
                return result
            except ApplicationError as error:
                if error.non_retryable or not left:
                    raise
        raise AssertionError("a segment is run at least once")

    def _check_books(self, ended: SyncOutcome) -> None:
        """The balance sheet adds up, stream by stream, and the log says the same."""
        self.told += [ended.error, ended.next_step, *ended.failed_streams.values()]
        for stream, counts in ended.counts.items():
            assert Counts.of(counts).is_balanced, (stream, counts)
        log = require_sync(self.database, self.tenant, ended.sync_log_id)
        assert log.counts == ended.totals
        assert log.outcome == ended.outcome.value
        self.told += [log.error_message or "", self.now.last_sync_error or ""]

    def comparisons(self) -> dict[str, Comparison]:
        """The newest comparison of each stream with the vendor's own numbers."""
        found = latest(self.database, self.subject.type)
        return {one.stream: one for one in found if one.tenant_id == self.tenant}

    def select(self, statement: str) -> list[dict[str, Any]]:
        """Rows of a statement, seen as the tenant."""
        with self.database.tenant(self.tenant) as handle:
            return rows(handle, statement)


def _run(activity: Callable[..., Any], *arguments: Any) -> Any:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=f"acceptance-{uuid.uuid4().hex[:12]}")
    return environment.run(activity, *arguments)
