"""Dagster's storage in PostgreSQL with connections that are kept for some seconds; `dagster.yaml` names it.

Dagster opens one for each statement, outside its webserver. A run of a connector type has two hundred small events,
written one by one: most of their time went into connecting. The storage itself is Dagster's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

from gtmc_pipelines.model.database_urls import HOW_TO_WRITE, is_unambiguous
from gtmc_pipelines.model.errors import Misuse

_KEPT_SECONDS = 10  # young at any time, so that a server restarted in a long silence does no harm
_MOST_AT_ONCE = 100


class KeptConnectionsStorage(DagsterPostgresStorage):
    """Takes the same settings as `storage: postgres:`. A process keeps one connection each to runs, events, ticks."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """The storage, as Dagster asks for it. Raises Misuse for a URL whose password could end in two places."""
        url = pg_url_from_config(config_value)
        if not is_unambiguous(url):
            raise Misuse("bad_database_url", "Dagster's database URL can't be read.", next_step=f"It {HOW_TO_WRITE}.")
        storage = cls(
            postgres_url=url,
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
            token_provider=get_token_provider_from_config(config_value),
        )
        for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
            part.optimize_for_webserver(statement_timeout=0, pool_recycle=_KEPT_SECONDS, max_overflow=_MOST_AT_ONCE)
        return storage
