"""A sweep: one run for many tenants, each to its own end, every one of them recorded as what it became."""

from __future__ import annotations

import queue
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import dagster as dg

from gtmc_pipelines.defs import showing
from gtmc_pipelines.defs.event_writer import plan_failed, write_events
from gtmc_pipelines.defs.names import op_name, partitions_name
from gtmc_pipelines.defs.order import SyncOrder
from gtmc_pipelines.defs.recording import events_of, not_yet_recorded
from gtmc_pipelines.defs.showing import Log
from gtmc_pipelines.defs.tenant_sync import Finished, RunSyncs
from gtmc_pipelines.model.errors import GtmcError

if TYPE_CHECKING:
    from gtmc_pipelines.storage.engine import Database

_NAMED_FAILURES = 20
_FLUSH_TENANTS = 100
_FLUSH_SECONDS = 5.0


class Sweep:
    """The tenants of one run, `concurrency` of them at a time. `fault_in` tells a known fault in an exception."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        order: SyncOrder,
        syncs: RunSyncs,
        database: Database,
        concurrency: int,
        fault_in: Callable[[Exception], GtmcError | None],
    ) -> None:
        self._context = context
        self._log = Log(context)
        self._order = order
        self._syncs = syncs
        self._database = database
        self._concurrency = concurrency
        self._fault_in = fault_in
        self._step = op_name(order.connector)
        self._selected = set(context.selected_asset_keys)
        self._partitions = set(context.instance.get_dynamic_partitions(partitions_name(order.connector)))
        self._problems: dict[str, str] = {}
        self._done = 0

    def run(self) -> dg.Failure | None:
        """Bring every tenant to its end; one tenant's failure stops none of the others. Gives the failure to raise."""
        total = len(self._order.tenants)
        self._log.info("{}, {} sync of {:,} tenants", self._order.connector.label, self._order.mode, total)
        ended: queue.SimpleQueue[tuple[str, Future[Finished]]] = queue.SimpleQueue()
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="sweep") as pool:
            try:
                for tenant in self._order.tenants:
                    future = pool.submit(self._syncs.sync, tenant)
                    future.add_done_callback(lambda done, tenant=tenant: ended.put((tenant, done)))  # type: ignore[misc]
                self._collect(ended, total)
            except BaseException:
                self._syncs.detach()  # threads stop following, so that leaving the pool doesn't wait for the syncs
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return self._failure(total) if self._problems else None

    def _collect(self, ended: queue.SimpleQueue[tuple[str, Future[Finished]]], total: int) -> None:
        held: list[Finished] = []
        flushed_at = time.monotonic()
        while self._done + len(held) < total:
            with suppress(queue.Empty):  # nothing new: what is held may be old enough to be recorded
                held.append(self._finished(*ended.get(timeout=_FLUSH_SECONDS)))
            if held and (len(held) >= _FLUSH_TENANTS or time.monotonic() - flushed_at >= _FLUSH_SECONDS):
                self._record(held, total)
                held, flushed_at = [], time.monotonic()
        self._record(held, total)

    def _finished(self, tenant: str, done: Future[Finished]) -> Finished:
        error = done.exception()
        if error is None:
            return done.result()
        if not isinstance(error, Exception):
            raise error
        fault = self._fault_in(error)
        if fault is not None:
            return Finished(tenant, str(fault), None)
        where = "".join(traceback.format_tb(error.__traceback__))  # without its words, which may quote data
        self._log.error("{}: unexpected {}\n{}", tenant, type(error).__name__, where)
        sentence = f"The sync could not be followed: unexpected {type(error).__name__}, which is our bug."
        return Finished(tenant, f"{sentence} See this run's log for the place, and report it.", None)

    def _record(self, held: Sequence[Finished], total: int) -> None:
        """Store what these tenants became: events for complete assets, failed for the rest of a failed tenant."""
        from gtmc_pipelines.storage.recording import recording

        if not held:
            return
        events = [e for tenant in held if tenant.facts is not None for e in events_of(tenant.facts, self._selected)]
        with recording(self._database, (tenant.facts.workflow_run_id for tenant in held if tenant.facts)):
            write_events(self._context, self._step, not_yet_recorded(self._context.instance, events))
        complete = {(event.partition, event.asset_key) for event in events}
        for finished in held:
            if not finished.problem:
                continue
            self._problems[finished.tenant] = finished.problem
            self._log.error("{}: {}", finished.tenant, finished.problem)
            if finished.tenant in self._partitions:
                missing = [key for key in sorted(self._selected) if (finished.tenant, key) not in complete]
                plan_failed(self._context, self._step, missing, finished.tenant)
        self._done += len(held)
        self._log.info("{:,} of {:,} tenants ended, {:,} of them failed", self._done, total, len(self._problems))

    def _failure(self, total: int) -> dg.Failure:
        named = sorted(self._problems.items())[:_NAMED_FAILURES]
        listing = "; ".join(f"{tenant}: {problem}" for tenant, problem in named[:3])
        return dg.Failure(
            showing.sentence(f"{len(self._problems):,} of {total:,} tenants failed. {listing}"),
            metadata={"failed": showing.named(dict(named)), "failed_tenants": len(self._problems)},
            allow_retries=False,
        )
