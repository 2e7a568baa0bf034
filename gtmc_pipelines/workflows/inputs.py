"""What workflows and activities say to each other: ids, counts and cursors, never records or secrets.

Frozen dataclasses carried by Temporal's pydantic converter: fields an older or newer worker doesn't
know are ignored, so that a rolling deploy works. New fields need a default; a new field of what a workflow
is started with also needs a higher INPUT_VERSION, by which an older worker knows that it may ignore it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.phases import Outcome, Phase, SyncMode, Trigger

INPUT_VERSION = 2
"""Version of SyncRequest and ScheduledRequest: of a newer one a worker ignores what it doesn't know, else nothing."""

OUTSIDE = "temporal"
"""Who asked when none of our callers did: Temporal's UI or command, or the platform, whose user Temporal keeps."""

TASK_QUEUE = "connector-sync"
"""The documented task queue (settings.task_queue may name another one)."""

SYNC_WORKFLOW = "ConnectorSyncWorkflow"
RENORMALIZE_WORKFLOW = "RenormalizeWorkflow"
SCHEDULED_WORKFLOW = "ScheduledSyncWorkflow"

TENANT_KEY = SearchAttributeKey.for_keyword("tenantId")
CONNECTOR_KEY = SearchAttributeKey.for_keyword("connectorType")
SYNC_TYPE_KEY = SearchAttributeKey.for_keyword("syncType")
PHASE_KEY = SearchAttributeKey.for_keyword("syncPhase")
DAGSTER_RUN_KEY = SearchAttributeKey.for_keyword("dagsterRunId")
SEARCH_KEYS = (TENANT_KEY, CONNECTOR_KEY, SYNC_TYPE_KEY, PHASE_KEY, DAGSTER_RUN_KEY)
"""Search attributes every sync carries; the namespace must know them (workflows.namespace)."""


@dataclass(frozen=True, slots=True)
class FaultNote:
    """A fault as histories and sync logs keep it: whose turn it is, a code, one sentence, the next step."""

    leaf: str
    code: str
    sentence: str
    next_step: str = ""
    until: datetime | None = None

    @property
    def text(self) -> str:
        """The sentence followed by the next step."""
        return f"{self.sentence} {self.next_step}".strip()

    @classmethod
    def behind(cls, error: BaseException) -> FaultNote:
        """The fault behind a failed activity, as the workflow sees it once retries are used up."""
        cause = error.cause if isinstance(error, ActivityError) else error
        if isinstance(cause, ApplicationError) and cause.details:
            return TypeAdapter(cls).validate_python(cause.details[0])
        if isinstance(cause, TimeoutError):
            return cls(
                "Retry",
                "worker_lost",
                "The worker running this sync stopped answering and no attempt finished.",
                "Check that `gtmc worker` is running, then start the sync again: it goes on at its checkpoint.",
            )
        return cls("Broken", "unexpected", "The sync ended without a recorded cause.", "Look at its workflow history.")


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What `open_sync` found out; every later step is given it, across continue-as-new too.

    `held_by` is the workflow id of another running sync of this connector: then nothing else is set
    and nothing was done. `until` is the upper bound of every read of this sync.
    """

    fence: int = 0
    sync_log_id: str = ""
    mode: SyncMode = SyncMode.INCREMENTAL
    until: datetime | None = None
    streams: tuple[str, ...] = ()
    held_by: str = ""
    segments: int = 0
    connector_type: ConnectorType | None = None


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """One sync of one connector. No `streams` means all of them. `plan` is set by continue-as-new only.
    Without a `connector_type` (the documented input has none) the first activity looks it up.
    `letters` (ids) are the dead letters a replay is about, none: all that are open.

    `heartbeat_seconds` is after how much silence a worker counts as dead; `segments_per_run` bounds a
    run's history: then the workflow continues as new, with the same id, owner and plan. With
    `confirm_deletions` a person has looked: the deletion sweep marks however much is missing.
    """

    tenant_id: str
    connector_id: str
    connector_type: ConnectorType | None = None
    mode: SyncMode = SyncMode.INCREMENTAL
    streams: tuple[str, ...] = ()
    trigger: Trigger = Trigger.MANUAL
    requested_by: str = ""
    dagster_run_id: str = ""
    heartbeat_seconds: int = 30
    segments_per_run: int = 200
    plan: SyncPlan | None = None
    letters: tuple[int, ...] = ()
    version: int = INPUT_VERSION
    confirm_deletions: bool = False

    @property
    def kind(self) -> ConnectorType:
        """The connector's type, once it is known. Raises Misuse before that."""
        if self.connector_type is None:
            raise Misuse("no_connector_type", "The type of this connector was not looked up.")
        return self.connector_type

    @property
    def sync_type(self) -> str:
        """What is asked for, as the search attribute says it: `renormalize` and `replay` are no syncs."""
        return self.trigger.value if self.trigger in (Trigger.RENORMALIZE, Trigger.REPLAY) else self.mode.value

    def planned(self, plan: SyncPlan) -> SyncRequest:
        """The request with the type that the plan has found out."""
        return self if self.connector_type else replace(self, connector_type=plan.connector_type)


def as_renormalization(request: SyncRequest) -> SyncRequest:
    """The request of RenormalizeWorkflow: raw rows of these streams are read in full, no vendor is called."""
    return replace(request, mode=SyncMode.FULL, trigger=Trigger.RENORMALIZE)


def as_replay(request: SyncRequest) -> SyncRequest:
    """The request of RenormalizeWorkflow that tries dead letters again and leaves all other records alone."""
    return replace(request, mode=SyncMode.INCREMENTAL, trigger=Trigger.REPLAY)


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """What one `sync_segment` did. `is_complete` is False when a bound stopped it and more is to be read."""

    is_complete: bool
    records: int = 0
    batches: int = 0


@dataclass(frozen=True, slots=True)
class FinalizeRequest:
    """How a sync ended, to be put on the books. `plan` is None when it never got as far as having one.

    `cancelled_by` is the reason the cancel came with: who asked, when one of ours did (`activities.cancelled`).
    """

    request: SyncRequest
    owner_run_id: str
    outcome: Outcome
    plan: SyncPlan | None = None
    fault: FaultNote | None = None
    cancelled_by: str = ""


@dataclass(frozen=True, slots=True)
class SyncOutcome:
    """How a sync ended: the workflow's result, or the details of the failure it ended with.

    `counts` is the balance sheet per stream (numbers of records). `failed_streams` says why each
    stream that didn't complete failed. `held_by` names the running sync a duplicate gave way to.
    """

    outcome: Outcome
    mode: SyncMode = SyncMode.INCREMENTAL
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    error_code: str = ""
    error: str = ""
    next_step: str = ""
    deferred_until: datetime | None = None
    held_by: str = ""
    sync_log_id: str = ""
    failed_streams: dict[str, str] = field(default_factory=dict)

    @property
    def totals(self) -> Counts:
        """The counts of all streams added up."""
        return sum((Counts.of(counts) for counts in self.counts.values()), Counts())

    @property
    def is_success(self) -> bool:
        """True when every stream completed."""
        return self.outcome is Outcome.COMPLETED

    @classmethod
    def of(cls, details: Any) -> SyncOutcome:
        """From the JSON object a failure carries as its details."""
        return TypeAdapter(cls).validate_python(details)


@dataclass(frozen=True, slots=True)
class Beat:
    """Heartbeat details of a running segment, for live progress; costs no history."""

    phase: Phase
    stream: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    checkpoint_age_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ScheduledRequest:
    """A sweep over connected connectors: of one tenant, or of all, which has to be said (`all_tenants`).

    `at` (UTC) is the tick; it makes the children's ids. `window` is how many children run at once,
    `per_run` how many a run starts. `after` (the place of the last connector started) and the three
    counters are carried by continue-as-new.
    """

    tenant_id: str = ""
    connector_type: ConnectorType | None = None
    mode: SyncMode = SyncMode.INCREMENTAL
    at: datetime | None = None
    window: int = 50
    per_run: int = 500
    heartbeat_seconds: int = 30
    after: str = ""
    processed: int = 0
    succeeded: int = 0
    failed: int = 0
    all_tenants: bool = False
    version: int = INPUT_VERSION


@dataclass(frozen=True, slots=True)
class DueConnector:
    """A connector a scheduled sweep will sync, and its place in the sweep's order."""

    tenant_id: str
    connector_id: str
    connector_type: ConnectorType
    place: str = ""


@dataclass(frozen=True, slots=True)
class ScheduledOutcome:
    """The documented result of a scheduled sweep: numbers of connectors."""

    processed: int = 0
    succeeded: int = 0
    failed: int = 0
