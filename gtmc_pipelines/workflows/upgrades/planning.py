"""What is to be done for whom: the steps of every connector that has rows, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.storage.connectors import ConnectorRow, list_connectors
from gtmc_pipelines.storage.data_upgrades import Mending, Step, TableCounts, list_mendings
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import StoredMapping, list_mappings
from gtmc_pipelines.storage.table_counts import count_tables
from gtmc_pipelines.workflows.activities.consent import require_consent
from gtmc_pipelines.workflows.inputs import SyncRequest
from gtmc_pipelines.workflows.upgrades.fingerprints import fingerprint
from gtmc_pipelines.workflows.upgrades.offers import Offer, offer_of, offer_step
from gtmc_pipelines.workflows.upgrades.steps import UpgradeStep, Way, steps_of


class State(StrEnum):
    """Where a task stands. `waiting` says in `why` for whom."""

    TO_DO = "to do"
    UNDER_WAY = "under way"
    WAITING = "waiting"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Task:
    """One step for one connector. `rows` are the raw rows it is about."""

    step: UpgradeStep
    row: ConnectorRow
    version: str
    state: State
    rows: int = 0
    why: str = ""
    mending: Mending | None = None

    @property
    def key(self) -> Step:
        """What it is remembered by."""
        return Step(self.row.tenant_id, self.row.id, self.step.id, self.version)

    @property
    def is_open(self) -> bool:
        """Whether it can be done now."""
        return self.state in (State.TO_DO, State.UNDER_WAY)

    def request(self, actor: str) -> SyncRequest:
        """What Temporal is asked for: ids only."""
        trigger = Trigger.RENORMALIZE if self.step.way is Way.RENORMALIZE else Trigger.CLI
        where = (self.row.tenant_id, self.row.id, self.row.type, SyncMode.FULL, self.step.streams)
        return SyncRequest(*where, trigger=trigger, requested_by=actor)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An offer to one connector. `outcome` is `accepted` or `declined` once somebody has decided."""

    row: ConnectorRow
    offer: Offer
    outcome: str | None = None

    @property
    def key(self) -> Step:
        """What it is remembered by."""
        return Step(self.row.tenant_id, self.row.id, self.offer.step, self.offer.version)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything there is to mend, tenant by tenant, each connector's steps in order."""

    tasks: tuple[Task, ...]
    proposals: tuple[Proposal, ...]


def plan(database: Database, tenants: Iterable[str], connectors: Iterable[ConnectorType] = ()) -> Plan:
    """What is to be done for these tenants; no `connectors` means all types. Changes nothing.

    Connectors nothing was ever read for have nothing to mend and are left out.
    """
    wanted = frozenset(connectors) or frozenset(ConnectorType)
    tasks: list[Task] = []
    proposals: list[Proposal] = []
    for tenant in tenants:
        remembered = list_mendings(database, tenant)
        for row in list_connectors(database, tenant):
            if row.type in wanted:
                saved = list_mappings(database, tenant, row.id)
                mendings = {(each.step, each.version): each for each in remembered if each.connector_id == row.id}
                tasks += _tasks(database, row, saved, mendings)
                proposals += _proposals(row, saved, mendings)
    return Plan(tuple(tasks), tuple(proposals))


def _tasks(
    database: Database,
    row: ConnectorRow,
    saved: Mapping[Entity, StoredMapping],
    mendings: Mapping[tuple[str, str], Mending],
) -> Iterable[Task]:
    counts = count_tables(database, row.tenant_id, row.type)
    for step in steps_of(row.type):
        rows = _raw_rows(step, counts)
        if rows:
            version = _fingerprint(row, saved, mendings) if step.way is Way.RENORMALIZE else step.version
            mending = mendings.get((step.id, version))
            state, why = _standing(database, step, row, mending)
            yield Task(step, row, version, state, rows, why, mending)


def _raw_rows(step: UpgradeStep, counts: TableCounts) -> int:
    tables = [f"raw.{step.connector}_{stream}" for stream in step.streams]
    return sum(found["rows"] for name, found in counts.items() if name in tables or (not tables and "raw." in name))


def _fingerprint(
    row: ConnectorRow, saved: Mapping[Entity, StoredMapping], mendings: Mapping[tuple[str, str], Mending]
) -> str:
    accepted = {
        entity: mending.version
        for entity in saved
        for mending in mendings.values()
        if mending.step == offer_step(entity) and mending.outcome == "accepted"
    }
    return fingerprint(row.type, saved, accepted)


def _standing(database: Database, step: UpgradeStep, row: ConnectorRow, mending: Mending | None) -> tuple[State, str]:
    if mending is not None and mending.outcome is not None:
        return State.DONE, ""
    try:
        require_consent(database, SyncRequest(row.tenant_id, row.id, row.type))
    except GtmcError as error:  # never without the agreement, and what it waits for is said in its own words
        return State.WAITING, error.sentence
    if step.way is Way.FULL_SYNC and row.status is ConnectorStatus.DISCONNECTED:
        return (
            State.WAITING,
            f"It is disconnected: gtmc connectors connect --tenant {row.tenant_id} --connector {row.type}",
        )
    return (State.TO_DO if mending is None else State.UNDER_WAY), ""


def _proposals(
    row: ConnectorRow, saved: Mapping[Entity, StoredMapping], mendings: Mapping[tuple[str, str], Mending]
) -> Iterable[Proposal]:
    for entity, mapping in saved.items():
        offer = None if mapping.is_default else offer_of(row.type, entity, mapping.entries)
        if offer is not None:
            decided = mendings.get((offer.step, offer.version))
            yield Proposal(row, offer, None if decided is None else decided.outcome)
