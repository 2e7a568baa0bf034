"""What a materialization says: one typed set of metadata, the same whoever ran the sync."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from gtmc_pipelines.defs.showing import link, table, text
from gtmc_pipelines.model.catalog import CALCULATED_AS_OF, STREAMS, CursorKind
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import SyncMode, Trigger

if TYPE_CHECKING:
    from gtmc_pipelines.storage.sync_history import SyncLog

_LONGEST_WATERMARK = 120
_MOST_LEFT_OUT = 50
_LEFT_OUT_COLUMNS = ("slice", "reason", "kind", "syncs_in_a_row")


Metadata = dict[str, dg.MetadataValue[Any]]


@dataclass(frozen=True, slots=True)
class SyncFacts:
    """Facts about one finished sync of one tenant, as far as Dagster shows them.

    `counts` is the balance sheet (numbers of records) of each stream that took part, `complete`
    names those read and written to their ends. `watermarks` is where the next incremental sync of a
    stream starts. Holds ids, counts and moments only.
    """

    tenant: str
    connector: ConnectorType
    mode: SyncMode
    workflow_id: str
    workflow_run_id: str
    workflow_url: str
    sync_log_id: str
    counts: Mapping[str, Counts]
    complete: frozenset[str]
    watermarks: Mapping[str, str]
    seconds: float | None = None
    completed_at: datetime | None = None
    is_renormalized: bool = False  # canonical rows were made from raw ones; no vendor was called
    is_replay: bool = False  # the same for dead letters alone
    calculated: Mapping[str, str] = field(default_factory=dict)  # by stream: as of when its calculated fields are
    usage: Mapping[str, int] = field(default_factory=dict)  # what it cost at the vendor
    full_because: str = ""  # why it is full, when it was asked for as incremental
    left_out: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # slices that couldn't be read, by stream

    def total_of(self, streams: tuple[str, ...]) -> Counts:
        """The sheets of these streams added up."""
        return sum((self.counts.get(stream, Counts()) for stream in streams), Counts())

    def has_completed(self, streams: tuple[str, ...]) -> bool:
        """True when all of these streams (at least one) were read and written to their ends."""
        return bool(streams) and self.complete.issuperset(streams)

    def lag_seconds(self, streams: tuple[str, ...]) -> float | None:
        """How far behind the vendor these streams were when the sync ended; None where no moment tells it."""
        moments = [moment for stream in streams if (moment := _moment(self.watermarks.get(stream))) is not None]
        if self.completed_at is None or not moments:
            return None
        return max(0.0, (self.completed_at - min(moments)).total_seconds())


def facts_of(log: SyncLog, *, url: str) -> SyncFacts:
    """The facts a sync log states, whoever started the sync."""
    connector = ConnectorType(log.connector)
    return SyncFacts(
        tenant=log.tenant_id,
        connector=connector,
        mode=log.sync_type,
        workflow_id=log.workflow_id or "",
        workflow_run_id=log.workflow_run_id or "",
        workflow_url=url,
        sync_log_id=log.id,
        counts={stream: log.counts_of(stream) for stream in log.stream_counts},
        complete=frozenset(s for s, sheet in log.stream_counts.items() if sheet.get("state") == "complete"),
        watermarks=_watermarks(connector, log.cursor_after),
        seconds=log.seconds,
        completed_at=log.completed_at,
        is_renormalized=log.trigger in (Trigger.RENORMALIZE, Trigger.REPLAY),
        is_replay=log.trigger == Trigger.REPLAY,
        calculated=_calculated(log.cursor_after),
        usage=log.vendor_usage,
        full_because=log.full_because or "",
        left_out={s: sheet["left_out"] for s, sheet in log.stream_counts.items() if sheet.get("left_out")},
    )


def _watermarks(connector: ConnectorType, cursor: str | None) -> dict[str, str]:
    """From a log's cursor; a vendor's opaque token says nothing to people, and slices are only counted there."""
    plain = {stream.name for stream in STREAMS[connector] if stream.cursor_kind is not CursorKind.TOKEN}
    marks: dict[str, object] = json.loads(cursor) if cursor else {}
    return {stream: mark for stream, mark in marks.items() if stream in plain and isinstance(mark, str)}


def _calculated(cursor: str | None) -> dict[str, str]:
    marks: dict[str, object] = json.loads(cursor) if cursor else {}
    ending = CALCULATED_AS_OF
    return {key.removesuffix(ending): str(mark) for key, mark in marks.items() if key.endswith(ending) and mark}


def materialization(key: dg.AssetKey, facts: SyncFacts, streams: tuple[str, ...]) -> dg.AssetMaterialization:
    """The event for one asset of one tenant, fed by `streams`.

    The workflow's run id is the data version: storage can look that up per partition, so the same
    sync is never recorded twice.
    """
    return dg.AssetMaterialization(
        key,
        partition=facts.tenant,
        metadata=sync_metadata(facts, streams),
        tags={
            "dagster/data_version": facts.workflow_run_id,
            "dagster/data_version_is_user_provided": "true",
        },
    )


def sync_metadata(facts: SyncFacts, streams: tuple[str, ...]) -> Metadata:
    """Metadata of one asset: numbers that plot over time, then links and hints."""
    total = facts.total_of(streams)
    found: Metadata = {name: dg.MetadataValue.int(value) for name, value in total.as_dict().items()}
    found["balanced"] = dg.MetadataValue.bool(total.is_balanced)
    if facts.seconds is not None:
        found["duration_seconds"] = dg.MetadataValue.float(round(facts.seconds, 3))
        found["records_per_second"] = dg.MetadataValue.float(round(total.read / max(facts.seconds, 0.001), 1))
    if (lag := facts.lag_seconds(streams)) is not None:
        found["lag_seconds"] = dg.MetadataValue.float(round(lag, 3))
    found["sync_type"] = text(_kind(facts))
    if facts.full_because:
        found["full_because"] = text(facts.full_because.replace("_", " "))
    found |= _usage(facts.usage)
    found |= workflow_links(facts)
    watermarks = [f"{s}: {facts.watermarks[s][:_LONGEST_WATERMARK]}" for s in streams if facts.watermarks.get(s)]
    if watermarks:
        found["next_incremental_from"] = text("; ".join(watermarks))
    as_of = [moment for stream in streams if (moment := _moment(facts.calculated.get(stream))) is not None]
    if as_of:
        found["calculated_fields_as_of"] = dg.MetadataValue.timestamp(min(as_of))
        if facts.completed_at is not None:
            age = max(0.0, (facts.completed_at - min(as_of)).total_seconds())
            found["calculated_fields_age_hours"] = dg.MetadataValue.float(round(age / 3600, 2))
    if total.failed:
        found["dead_letters"] = text(
            f"{total.failed:,} failed records. List them: "
            f"gtmc dead-letters list --tenant {facts.tenant} --connector {facts.connector}"
        )
    if any(stream in facts.left_out for stream in streams):
        found |= _left_out(facts, streams)
    return found


def _usage(usage: Mapping[str, int]) -> Metadata:
    """What the whole sync cost at the vendor, as numbers that plot over time."""
    found: Metadata = {f"vendor_{name}": dg.MetadataValue.int(value) for name, value in sorted(usage.items())}
    if usage.get("api_limit") and "api_used" in usage:
        share = 100 * usage["api_used"] / usage["api_limit"]
        found["vendor_quota_used_percent"] = dg.MetadataValue.float(round(share, 2))
    return found


def _left_out(facts: SyncFacts, streams: tuple[str, ...]) -> Metadata:
    """Members of a group that this sync couldn't read: their number, and a table of the first ones."""
    told = [(stream, facts.left_out[stream]) for stream in streams if stream in facts.left_out]
    rows = [
        (stream, *(each.get(name, "") for name in _LEFT_OUT_COLUMNS))
        for stream, sheet in told
        for each in sheet.get("slices", ())[:_MOST_LEFT_OUT]
    ]
    return {
        "left_out_count": dg.MetadataValue.int(sum(int(sheet.get("count", 0)) for _, sheet in told)),
        "left_out": table(("stream", *_LEFT_OUT_COLUMNS), rows),
    }


def _moment(watermark: str | None) -> datetime | None:
    """The moment a watermark names; None for a page number or a token."""
    try:
        moment = datetime.fromisoformat(watermark or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _kind(facts: SyncFacts) -> str:
    if facts.is_replay:
        return "replayed"
    return "renormalized" if facts.is_renormalized else facts.mode.value


def workflow_links(facts: SyncFacts) -> Metadata:
    """Where to look further: the workflow in the Temporal UI, the sync log."""
    found: Metadata = {"workflow_id": text(facts.workflow_id)}
    if facts.workflow_url:
        found["workflow"] = link(facts.workflow_url)
    if facts.sync_log_id:
        found["sync_log"] = text(
            f"{facts.sync_log_id}, see gtmc syncs show {facts.sync_log_id} --tenant {facts.tenant}"
        )
    return found
