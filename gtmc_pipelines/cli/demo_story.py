"""The demo's story: tenants, full sync, changes at the vendors, incremental sync, and the truth after each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from gtmc_pipelines.cli import demo_changes, demo_report, demo_setup, demo_syncs
from gtmc_pipelines.cli.console import say
from gtmc_pipelines.cli.demo_setup import Subject
from gtmc_pipelines.cli.truth.compare import EXPECTATIONS, Verdict, compare, sandbox_records
from gtmc_pipelines.defs.launch import RunningDagster
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.settings import Settings, running_stack
from gtmc_pipelines.storage.engine import open_database


class Story:
    """Told on a running stack, whose addresses the settings lead to."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sandbox: dict[str, str] = (running_stack(settings.home) or {})["addresses"]
        self._vendors = json.loads((settings.home / "sandbox.json").read_text())["vendors"]
        self._database = open_database(settings.required("database_url"))
        self._dagster = RunningDagster(settings.required("dagster_url"))
        self._subjects: list[Subject] = []

    def tell(self) -> list[dict[str, Any]]:
        """The whole story; gives the objects of `demo.json`."""
        since = datetime.now(UTC)
        with _step("Tenants and connectors"):
            connectors, ca_file = list(EXPECTATIONS), self._settings.ca_file
            self._subjects = demo_setup.set_up(self._database, connectors, self._vendors, ca_file)
        with _step("Full sync of everything, through Dagster"):
            self._sync(SyncMode.FULL)
        with _step("Canonical tables compared with the vendors"):
            first = self._verdicts()
        with _step("Records changed at the vendors"):
            self._settle()
            self._change()
        with _step("Incremental sync, through Dagster"):
            launched = self._sync(SyncMode.INCREMENTAL)
        with _step("Canonical tables compared with the vendors again"):
            verdicts = self._verdicts()
        for subject, verdict in verdicts.items():
            verdict.differences[:0] = [f"after the full sync: {text}" for text in first[subject].differences]
        return demo_report.reports(self._database, since, launched, verdicts)

    def close(self) -> None:
        """Give the database's connections back."""
        self._database.close()

    def _sync(self, mode: SyncMode) -> demo_syncs.Results:
        return demo_syncs.sync_through_dagster(self._dagster, self._database, self._subjects, mode)

    def _settle(self) -> None:
        """Sensors start syncs, too (consent that of Office 365): nothing is changed or compared under one."""
        demo_syncs.settle(self._dagster, self._database, self._subjects)

    def _change(self) -> None:
        for subject in self._subjects:
            demo_changes.change(self._url(subject), subject.tenant_id, subject.connector, self._settings.ca_file)

    def _verdicts(self) -> dict[Subject, Verdict]:
        self._settle()
        found = {}
        for subject in self._subjects:
            records = sandbox_records(self._url(subject), subject.tenant_id, self._settings.ca_file)
            found[subject] = compare(self._database, subject.tenant_id, subject.connector, records)
        return found

    def _url(self, subject: Subject) -> str:
        return self._sandbox[f"Sandbox {subject.connector}"]


@contextmanager
def _step(title: str) -> Iterator[None]:
    began = perf_counter()
    say("[bold]{}[/bold]", title)
    yield
    say("[green]✓[/green] {} [dim]{:.1f} s[/dim]", title, perf_counter() - began)
