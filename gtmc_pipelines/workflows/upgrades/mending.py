"""Doing what the plan says: each step is remembered before it begins, so that a killed command goes on with its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from threading import Event

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.model.phases import Outcome
from gtmc_pipelines.storage import data_upgrades
from gtmc_pipelines.storage.data_upgrades import Mending
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import get_mapping, save_mapping
from gtmc_pipelines.storage.table_counts import count_tables
from gtmc_pipelines.workflows.client import SyncClient, SyncHandle
from gtmc_pipelines.workflows.inputs import SyncOutcome
from gtmc_pipelines.workflows.upgrades.amendments import Amendment, amend
from gtmc_pipelines.workflows.upgrades.offers import taken
from gtmc_pipelines.workflows.upgrades.planning import Proposal, State, Task
from gtmc_pipelines.workflows.upgrades.steps import Way

MOST_STARTS = 5
"""How often a running sync of the connector is waited for before a step is left for the next run."""

_TICK_SECONDS = 0.5

Tell = Callable[[Task, str], None]
"""Told that a task has begun, with the id of its workflow if it has one; from any thread."""


@dataclass(frozen=True, slots=True)
class Mended:
    """A task after it was tried. `counts` are its records, `mending` has what was stored before and after; `error`
    says why it isn't done.
    """

    task: Task
    mending: Mending
    counts: Counts = field(default_factory=Counts)
    error: GtmcError | None = None


class _Stopped(Exception):
    """Raised in the threads that wait, once the command is interrupted; what they wait for goes on."""


class Mender:
    """Does tasks through the worker, so many connectors at once and each connector's steps in order.

    Interrupted anywhere, even killed, the next run attaches to the workflows of this one.
    """

    def __init__(self, database: Database, client: SyncClient, *, actor: str, at_once: int, tell: Tell) -> None:
        self._database, self._client, self._actor, self._at_once, self._tell = database, client, actor, at_once, tell
        self._stopped = Event()

    def mend(self, tasks: Sequence[Task]) -> Iterator[Mended]:
        """Each task as it ends, done or not. The tasks must be sorted by connector."""
        groups = [list(group) for _, group in groupby(tasks, key=lambda task: task.row.id)]
        ended: list[Mended] = []
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="mend") as pool:
            waiting = {pool.submit(self._in_order, group, ended) for group in groups}
            try:
                yield from self._as_they_end(waiting, ended)
            except BaseException:
                self._stopped.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _as_they_end(self, waiting: set[Future[None]], ended: list[Mended]) -> Iterator[Mended]:
        while waiting:
            done, waiting = wait(waiting, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            while ended:
                yield ended.pop(0)

    def _in_order(self, tasks: Sequence[Task], ended: list[Mended]) -> None:
        for task in tasks:
            ended.append(self._one(task))

    def _one(self, task: Task) -> Mended:
        mending = task.mending
        if mending is None or task.state is not State.UNDER_WAY:
            mending = self._begin(task)
        if task.step.amendment is not None:
            return self._amended(task, task.step.amendment, mending)
        return self._through_a_workflow(task, mending)

    def _amended(self, task: Task, amendment: Amendment, mending: Mending) -> Mended:
        self._tell(task, "")
        try:
            counts = amend(self._database, task.row, amendment, self._look_up)
        except GtmcError as error:
            return Mended(task, mending, error=error)
        return self._finished(task, counts)

    def _through_a_workflow(self, task: Task, mending: Mending) -> Mended:
        is_resumed, outcome = task.state is State.UNDER_WAY, None
        for _ in range(MOST_STARTS):
            handle = self._start(task, mending.started_at)
            self._tell(task, handle.workflow_id)
            outcome = self._client.outcome(handle, self._look_up)
            if outcome.is_success and not outcome.held_by:
                return self._finished(task, outcome.totals, handle.workflow_id)
            if not (outcome.held_by or (is_resumed and handle.attached)):
                break  # it failed by itself, not for a sync that was running nor in an earlier run
            mending, is_resumed = self._begin(task), False
        assert outcome is not None
        return Mended(task, mending, outcome.totals, _error(outcome))

    def _begin(self, task: Task) -> Mending:
        counts = count_tables(self._database, task.row.tenant_id, task.row.type)
        return data_upgrades.begin(self._database, task.key, datetime.now(UTC), counts, actor=self._actor)

    def _start(self, task: Task, at: datetime) -> SyncHandle:
        """The moment was remembered first: whoever comes back lands on the same workflow."""
        start = self._client.renormalize if task.step.way is Way.RENORMALIZE else self._client.start
        return start(task.request(self._actor), at)

    def _finished(self, task: Task, counts: Counts, workflow_id: str | None = None) -> Mended:
        stored = count_tables(self._database, task.row.tenant_id, task.row.type)
        mending = data_upgrades.finish(self._database, task.key, stored, actor=self._actor, workflow_id=workflow_id)
        return Mended(replace(task, state=State.DONE), mending, counts)

    def _look_up(self) -> None:
        if self._stopped.is_set():
            raise _Stopped


def accept(database: Database, proposal: Proposal, *, actor: str) -> None:
    """Take an offer into the tenant's saved mapping; the rows follow when the connector is renormalized next.

    Remembered before it is saved: one that was cut off in between is taken when it is accepted again.
    Raises Misuse when the mapping can't take it.
    """
    row, entity = proposal.row, proposal.offer.entity
    saved = get_mapping(database, row.tenant_id, row.id, entity)
    if saved is None:
        return  # reset meanwhile: the defaults are in force
    entries = taken(row.type, proposal.offer, saved.entries)
    _decide(database, proposal, "accepted", actor)
    save_mapping(database, row.tenant_id, row.id, entity, entries, actor=actor)


def decline(database: Database, proposal: Proposal, *, actor: str) -> None:
    """Leave the tenant's mapping as it is, and don't offer this again until the defaults change again."""
    _decide(database, proposal, "declined", actor)


def _decide(database: Database, proposal: Proposal, outcome: str, actor: str) -> None:
    data_upgrades.begin(database, proposal.key, datetime.now(UTC), {}, actor=actor)
    data_upgrades.finish(database, proposal.key, actor=actor, outcome=outcome)


def _error(outcome: SyncOutcome) -> GtmcError:
    if outcome.held_by:
        return GtmcError(
            "connector_busy",
            f"Each time another sync was running already, the last one {outcome.held_by}.",
            next_step="Run `gtmc upgrade-data --apply` again once its syncs have ended.",
        )
    if outcome.outcome is Outcome.CANCELLED:
        return GtmcError("cancelled", "It was cancelled.", next_step="Run `gtmc upgrade-data --apply` again.")
    sentence = outcome.error or "; ".join(f"{name}: {text}" for name, text in outcome.failed_streams.items())
    return GtmcError(outcome.error_code or "not_mended", sentence or "It failed.", next_step=outcome.next_step)
