"""The right to record workflow runs in Dagster, which one process at a time has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows

# In the order of the numbers, so that two who ask for several can't wait for each other.
_LOCK = """
SELECT pg_advisory_xact_lock(asked.number)
  FROM (SELECT DISTINCT hashtextextended('gtmc.recording:' || run, 0) AS number
          FROM unnest(%(runs)s::text[]) AS run ORDER BY number) asked
"""


@contextmanager
def recording(database: Database, workflow_run_ids: Iterable[str]) -> Iterator[None]:
    """Whoever looks up what is recorded of these runs and records the rest does it inside: then nothing comes twice.

    Waits for others that record one of them. Raises Retry when the database is gone.
    """
    with database.fleet() as connection:
        rows(connection, _LOCK, {"runs": list(workflow_run_ids)})
        yield
