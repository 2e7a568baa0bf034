"""Tenants with vendors that never end keep nobody from syncing, and nothing of them stays after a cancel."""

from __future__ import annotations

import time

import pytest

from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.workflows.activities import ahead
from gtmc_pipelines_tests.workflows.conftest import running_worker
from gtmc_pipelines_tests.workflows.noisy_scene import noisy

SLOTS = 4  # of the tests' worker
MODES = ["silent", "dripped headers", "dripped trailers", "interim answers, slowly"]

pytestmark = pytest.mark.services


def test_a_healthy_sync_ends_among_hostile_tenants(
    worker_settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "PATIENT_SECONDS", 0.2)
    with noisy(worker_settings, database, MODES) as scene, running_worker(scene.settings, database):
        healthy = scene.healthy()
        scene.besiege(2 * SLOTS)
        scene.vendors[0].await_callers(1)
        began = time.monotonic()
        assert scene.sync(healthy).is_success
        assert time.monotonic() - began < 20.0
        assert sum(len(vendor.open) for vendor in scene.vendors) > SLOTS, "silent ones hold no slot"
        assert scene.relieve() < 1.0
