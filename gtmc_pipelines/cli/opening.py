"""Opens what a command works with, and closes it in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gtmc_pipelines.settings import Settings, load_settings
from gtmc_pipelines.storage.engine import Database, open_database


@contextmanager
def opened(pool_size: int = 2) -> Iterator[tuple[Settings, Database]]:
    """Settings and a database that answers."""
    settings = load_settings()
    database = open_database(settings.required("database_url"), pool_size=pool_size)
    try:
        yield settings, database
    finally:
        database.close()
