"""One measured run in a process of its own, so that its memory is its own: prints one JSON object."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg

from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.bench import ours, reference
from gtmc_pipelines_tests.bench.meter import Meter
from gtmc_pipelines_tests.bench.pages import read_pages

_EMPTY = "TRUNCATE raw.salesforce_contacts, people, dead_letters, sync_logs"


def run_reference(url: str, folder: Path) -> dict[str, Any]:
    """First load and identical re-read by the yardstick."""
    meter = Meter(url)
    meter.execute(reference.SCHEMA)
    results = {}
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("first", "again"):
            meter.start()
            results[name] = meter.stop(reference.load(connection, read_pages(folder)))
    return results


def run_write_path(url: str, folder: Path) -> dict[str, Any]:
    """First load and identical re-read by ours, from page files."""
    meter = Meter(url)
    meter.execute(_EMPTY)
    database = Database(url)
    target = ours.new_target(database)
    results: dict[str, Any] = {}
    for name in ("first", "again"):
        meter.start()
        counts = ours.load(database, target, ours.pages_of(folder))
        results[name] = meter.stop(counts.read) | {"counts": counts.as_dict()}
    results["again"]["rewritten"] = meter.value("SELECT count(*) FROM people WHERE updated_at <> created_at")
    database.close()
    return results


RUNS = {"reference": run_reference, "write_path": run_write_path}

if __name__ == "__main__":
    _name, _url, _folder = sys.argv[1:4]
    sys.stdout.write(json.dumps(RUNS[_name](_url, Path(_folder))) + "\n")
