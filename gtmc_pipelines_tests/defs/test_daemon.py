"""Backfills are looked for often, as long as Dagster's daemon can be told so."""

from __future__ import annotations

import inspect

import pytest
from dagster._daemon import backfill, controller

from gtmc_pipelines.defs import daemon


def test_the_daemon_looks_for_backfills_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(controller, daemon.INTERVAL, 30)  # put back after the test
    monkeypatch.setattr(daemon, "main", lambda: seen.append(getattr(controller, daemon.INTERVAL)))
    daemon.run()
    assert seen == [daemon.BACKFILLS_EVERY_SECONDS]
    assert daemon.INTERVAL in inspect.getsource(backfill.execute_backfill_iteration_loop), "Dagster reads another name"
