"""One measured run in a process of its own, so that its memory is its own: prints one JSON object.

Like a worker it has all the worker's modules loaded and its switch interval.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from gtmc_pipelines.model.records import Page
from gtmc_pipelines.storage.batch import BatchTarget
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.workflows import worker
from gtmc_pipelines_tests.bench import ours, reference, whole_path
from gtmc_pipelines_tests.bench.meter import Meter
from gtmc_pipelines_tests.bench.pages import read_pages

_EMPTY = "TRUNCATE raw.salesforce_contacts, people, dead_letters, sync_logs"
Reader = Callable[[BatchTarget], Iterator[Page]]


def run_reference(url: str, folder: Path) -> dict[str, Any]:
    """First load and identical re-read by the yardstick."""
    meter = Meter(url)
    meter.execute(reference.SCHEMA)
    results = {}
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("first", "again"):
            meter.start()
            results[name] = meter.stop(reference.load(connection, read_pages(folder)))
    meter.execute("DROP SCHEMA yardstick CASCADE")
    return results


def run_ours(url: str, reader: Reader) -> dict[str, Any]:
    """First load and identical re-read by ours."""
    meter = Meter(url)
    meter.execute(_EMPTY)
    database = Database(url)
    target = ours.new_target(database)
    results: dict[str, Any] = {}
    for name in ("first", "again"):
        meter.start()
        counts = ours.load(database, target, reader(target))
        results[name] = meter.stop(counts.read) | {"counts": counts.as_dict()}
    results["again"]["rewritten"] = meter.value("SELECT count(*) FROM people WHERE updated_at <> created_at")
    meter.execute(_EMPTY)
    database.close()
    return results


def main(name: str, url: str, home: Path) -> dict[str, Any]:
    """Run one of the four."""
    sys.setswitchinterval(worker._SWITCH_SECONDS)
    if name == "reference":
        return run_reference(url, home / "pages")
    if name == "write_path":
        return run_ours(url, lambda _: ours.pages_of(home / "pages"))
    announcement = json.loads((home / "sandbox.json").read_text())
    return run_ours(url, lambda target: whole_path.pages_of(announcement, target, by_bulk=name == "bulk"))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))) + "\n")
