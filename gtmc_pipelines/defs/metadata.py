"""What a materialization says: one typed set of metadata, the same whoever ran the sync."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import SyncMode

_LONGEST_WATERMARK = 120


@dataclass(frozen=True, slots=True)
class SyncFacts:
    """Facts about one finished sync of one tenant, as far as Dagster shows them.

    `counts` is the balance sheet per stream (numbers of records); `failures` says in one sentence
    why each stream that didn't complete failed. `watermarks` is where the next incremental sync of
    a stream starts. Holds ids, counts and moments only.
    """

    tenant: str
    connector: ConnectorType
    mode: SyncMode
    workflow_id: str
    workflow_run_id: str
    workflow_url: str
    sync_log_id: str
    counts: dict[str, Counts]
    failures: dict[str, str]
    watermarks: dict[str, str]
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def duration_seconds(self) -> float | None:
        """How long the sync took from its first step to its closed books; None while a moment is unknown."""
        if self.started_at is None or self.completed_at is None:
            return None
        return round((self.completed_at - self.started_at).total_seconds(), 3)

    def total_of(self, streams: tuple[str, ...]) -> Counts:
        """The sheets of these streams added up."""
        return sum((self.counts.get(stream, Counts()) for stream in streams), Counts())

    def is_complete(self, streams: tuple[str, ...]) -> bool:
        """True when this sync read and wrote all of these streams to their ends."""
        return all(stream in self.counts and stream not in self.failures for stream in streams)


def materialization(
    key: dg.AssetKey, facts: SyncFacts, streams: tuple[str, ...], rows: int | None = None
) -> dg.AssetMaterialization:
    """The event for one asset of one tenant, fed by `streams`. `rows` is how many it holds now, if counted.

    The workflow's run id is the data version: storage can look that up per partition, so the same
    sync is never recorded twice.
    """
    return dg.AssetMaterialization(
        key,
        partition=facts.tenant,
        metadata=sync_metadata(facts, streams, rows),
        tags={
            "dagster/data_version": facts.workflow_run_id,
            "dagster/data_version_is_user_provided": "true",
        },
    )


def sync_metadata(
    facts: SyncFacts, streams: tuple[str, ...], rows: int | None = None
) -> dict[str, dg.MetadataValue[Any]]:
    """Metadata of one asset: numbers that plot over time, then links and hints."""
    total = facts.total_of(streams)
    found: dict[str, dg.MetadataValue[Any]] = {}
    if rows is not None:
        found["dagster/partition_row_count"] = dg.MetadataValue.int(rows)
    found |= {name: dg.MetadataValue.int(value) for name, value in total.as_dict().items()}
    found["balanced"] = dg.MetadataValue.bool(total.is_balanced)
    if facts.duration_seconds is not None:
        found["duration_seconds"] = dg.MetadataValue.float(facts.duration_seconds)
    found["sync_type"] = dg.MetadataValue.text(facts.mode.value)
    found |= workflow_links(facts)
    watermarks = [f"{s}: {facts.watermarks[s][:_LONGEST_WATERMARK]}" for s in streams if facts.watermarks.get(s)]
    if watermarks:
        found["next_incremental_from"] = dg.MetadataValue.text("; ".join(watermarks))
    if total.failed:
        found["dead_letters"] = dg.MetadataValue.md(
            f"{total.failed:,} failed records. List them: "
            f"`gtmc dead-letters list --tenant {facts.tenant} --connector {facts.connector}`"
        )
    return found


def workflow_links(facts: SyncFacts) -> dict[str, dg.MetadataValue[Any]]:
    """Where to look further: the workflow in the Temporal UI, the sync log."""
    found: dict[str, dg.MetadataValue[Any]] = {"workflow_id": dg.MetadataValue.text(facts.workflow_id)}
    if facts.workflow_url:
        found["workflow"] = dg.MetadataValue.url(facts.workflow_url)
    if facts.sync_log_id:
        found["sync_log"] = dg.MetadataValue.md(
            f"`{facts.sync_log_id}`, see `gtmc syncs show {facts.sync_log_id} --tenant {facts.tenant}`"
        )
    return found
