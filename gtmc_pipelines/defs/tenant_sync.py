"""One run's syncs: start a tenant's workflow or find it again, follow it to its end, give the facts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from gtmc_pipelines.defs.metadata import SyncFacts, facts_of
from gtmc_pipelines.defs.narrator import Narrator
from gtmc_pipelines.defs.order import SyncOrder
from gtmc_pipelines.defs.platform import Platform
from gtmc_pipelines.defs.showing import Address
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Broken, Misuse
from gtmc_pipelines.model.ids import renormalization_id, workflow_id
from gtmc_pipelines.model.phases import SyncMode

_ROUNDS = 5
Say = Callable[..., None]
"""Writes a line: our own words, with values in their `{}`."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How one tenant's sync ended. `problem` is one sentence with its next step, empty when all went well.

    `facts` is None when the sync ended before it could open its log: then nothing was read.
    """

    tenant: str
    problem: str
    facts: SyncFacts | None


class RunSyncs:
    """The syncs of one Dagster run. `sync` may be called from several threads."""

    def __init__(self, platform: Platform, order: SyncOrder, interval_seconds: float = 1.0) -> None:
        self._platform = platform
        self._order = order
        self._interval = interval_seconds
        self._open: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def sync(self, tenant: str, say: Say | None = None) -> Finished:
        """Bring one tenant's sync to its end. A sync that fails is a Finished with its problem.

        `say` is told how it goes on; without it only the end is waited for, which costs much less.

        Raises Misuse for an unknown tenant, a connector that isn't connected, an unreachable service.
        """
        connector_id = self._connected(tenant)
        for name, is_ours in self._candidates(tenant, connector_id):
            finished, did_less = self._follow(tenant, connector_id, name, is_ours, say)
            if not did_less:
                return finished
            if say is not None:
                say("That sync did less than this run asks for: starting our own now.")
        raise Misuse(
            "always_busy",
            f"Tenant {tenant}'s {self._order.connector.label} connector was busy with other syncs each time.",
            next_step="Start this one again when they are done: `gtmc syncs list` shows them.",
        )

    def cancel(self) -> list[str]:
        """Ask every open workflow of this run to stop, start no more, and give their ids."""
        self.detach()
        with self._lock:
            names = sorted(self._open)
        for name in names:
            self._platform.client.cancel(name, actor=f"dagster:{self._order.run_id}")
        return names

    def detach(self) -> None:
        """Stop following; the workflows go on."""
        self._stop.set()

    def _connected(self, tenant: str) -> str:
        from gtmc_pipelines.storage.connectors import require_connector

        found = require_connector(self._platform.database, tenant, self._order.connector.value)
        if found.status is ConnectorStatus.DISCONNECTED:
            raise Misuse(
                "not_connected",
                f"Tenant {tenant}'s {self._order.connector.label} connector is not connected.",
                next_step=f"Connect it: `gtmc connectors connect --tenant {tenant} "
                f"--connector {self._order.connector}`.",
            )
        return found.id

    def _candidates(self, tenant: str, connector_id: str) -> Iterator[tuple[str, bool]]:
        """Workflows to follow until one has done what the run asks for: a parent's, then our own (True)."""
        inherited = self._inherited(tenant, connector_id)
        if inherited is not None:
            yield inherited, False
        for round_ in range(_ROUNDS):
            at = self._order.moment.own + timedelta(milliseconds=round_)
            yield self._start(tenant, connector_id, at), True

    def _inherited(self, tenant: str, connector_id: str) -> str | None:
        """The workflow a parent run left behind, if it still runs or completed unseen."""
        client = self._platform.client
        identify = renormalization_id if self._order.is_renormalization else workflow_id
        for moment in self._order.moment.inherited:
            name = identify(tenant, connector_id, moment)
            if client.is_running(name):
                return name
            try:
                outcome = client.outcome(name)
            except Misuse as error:
                if error.code != "unknown_workflow":
                    raise
                continue  # that parent never got as far as starting one
            return name if outcome.is_success else None
        return None

    def _start(self, tenant: str, connector_id: str, at: datetime) -> str:
        from gtmc_pipelines.workflows.inputs import SyncRequest

        if self._stop.is_set():
            raise Misuse("run_stopped", "The run was stopped before this tenant's sync started.")
        order, client = self._order, self._platform.client
        request = SyncRequest(
            tenant_id=tenant,
            connector_id=connector_id,
            connector_type=order.connector,
            mode=order.mode,
            streams=order.streams_asked,
            trigger=order.trigger,
            requested_by="dagster",
            dagster_run_id=order.run_id,
        )
        start = client.renormalize if order.is_renormalization else client.start
        return start(request, at).workflow_id

    def _follow(
        self, tenant: str, connector_id: str, name: str, is_ours: bool, say: Say | None
    ) -> tuple[Finished, bool]:
        """Follow a workflow to its end; True when it was a parent's or somebody else's and did less than we want."""
        with self._lock:
            self._open.add(name)
        if say is not None:
            self._narrate(name, say)
        outcome = self._platform.client.outcome(name, lambda: self._go_on_with(name))
        with self._lock:  # not when interrupted: `cancel` must still find it
            self._open.discard(name)
        facts = self._facts(tenant, outcome.held_by or name)
        problem = "" if outcome.is_success else f"{outcome.error} {outcome.next_step}".strip()
        is_foreign = not is_ours or bool(outcome.held_by)
        return Finished(tenant, problem, facts), is_foreign and not self._covers(facts)

    def _narrate(self, name: str, say: Say) -> None:
        say("Workflow {} {}", name, Address(self._url(name)))
        narrator = Narrator(say)
        for progress in self._platform.client.follow(name, self._interval):
            narrator.tell(progress)
            self._go_on_with(name)

    def _go_on_with(self, name: str) -> None:
        if self._stop.is_set():
            raise Misuse("run_stopped", f"The run was stopped while {name} was running.")

    def _covers(self, facts: SyncFacts | None) -> bool:
        order = self._order
        if facts is None or facts.is_replay or facts.is_renormalized is not order.is_renormalization:
            return False
        if order.mode is SyncMode.FULL and facts.mode is not SyncMode.FULL:
            return False
        return set(facts.counts).issuperset(order.streams)

    def _facts(self, tenant: str, name: str) -> SyncFacts | None:
        from gtmc_pipelines.storage.sync_history import get_sync

        log = get_sync(self._platform.database, tenant, name)
        if log is None:
            return None
        if log.completed_at is None:
            raise Broken("sync_log_open", f"Workflow {name} has ended but its sync log is still open.")
        return facts_of(log, url=self._url(name))

    def _url(self, name: str) -> str:
        from gtmc_pipelines.workflows.client import workflow_url

        return workflow_url(self._platform.settings, name)
