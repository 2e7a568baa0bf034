"""What a run costs: wall time, CPU of this process and of PostgreSQL, peak memory."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

import psycopg

_TICKS = os.sysconf("SC_CLK_TCK")


class Meter:
    """Measures between `start` and `stop`. Linux only: it reads /proc. `url` is a superuser's, for psycopg."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._postmaster = _stat(self._connection.info.backend_pid)[0]
        self._before = (0.0, 0.0, 0.0)

    def start(self) -> None:
        """Begin, after a checkpoint, so that every run starts with the same debts.

        Autovacuum is off for all runs alike: its turn comes once a minute, so by chance in the longer runs, never for
        the reference, whose tables are dropped before it comes. Measured on: 12 to 15 us per record in the run it hits.
        """
        self._connection.execute("ALTER SYSTEM SET autovacuum = off")
        self._connection.execute("SELECT pg_reload_conf()")
        self._connection.execute("CHECKPOINT")
        self._before = self._now()

    def stop(self, records: int) -> dict[str, Any]:
        """Seconds, records a second, microseconds of CPU per record, peak resident memory in MB."""
        seconds, client, server = (after - before for before, after in zip(self._before, self._now(), strict=True))
        return {
            "records": records,
            "seconds": round(seconds, 3),
            "per_second": round(records / seconds),
            "client_us": client / records * 1e6,
            "postgres_us": server / records * 1e6,
            "total_us": (client + server) / records * 1e6,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    def execute(self, statement: str) -> None:
        """Run a statement as superuser."""
        self._connection.execute(statement.encode())

    def value(self, statement: str) -> Any:
        """The single value of a query as superuser."""
        row = self._connection.execute(statement.encode()).fetchone()
        return None if row is None else row[0]

    def _now(self) -> tuple[float, float, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds = time.perf_counter()
        # A scan that overlaps the end of a server process misses it, so the largest of three counts.
        return seconds, usage.ru_utime + usage.ru_stime, max(self._server_seconds(after) for after in (0, 0.05, 0.1))

    def _server_seconds(self, after: float) -> float:
        """CPU of the postmaster, its living children, and those it has buried; looked up `after` seconds."""
        time.sleep(after)
        ticks = 0
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                parent, own, buried = _stat(int(entry.name))
                if int(entry.name) == self._postmaster:
                    ticks += own + buried
                elif parent == self._postmaster:
                    ticks += own
        return ticks / _TICKS


def _stat(pid: int) -> tuple[int, int, int]:
    """Parent, own ticks, ticks of dead children; zeros for a process that has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0, 0
    return int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
