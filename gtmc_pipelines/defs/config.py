"""Run config of a sync, and how `auto` becomes full or incremental."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import dagster as dg
from pydantic import Field

from gtmc_pipelines.defs.names import SYNC_TYPE_TAG
from gtmc_pipelines.defs.run_config import UNSAID
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.phases import SyncMode, Trigger


class SyncType(Enum):
    """What a run asks for."""

    auto = "auto"
    incremental = "incremental"
    full = "full"


class SyncConfig(dg.Config):
    """Config of every connector's op. Nothing is required, so Materialize needs no typing."""

    model_config = UNSAID
    sync_type: SyncType = Field(
        default=SyncType.auto,
        description="auto: a backfill is full, everything else incremental. Set full or incremental to decide.",
    )
    streams: list[str] = Field(
        default_factory=list, description="Streams to sync; empty: those of the selected assets."
    )
    tenant_ids: list[str] = Field(
        default_factory=list, description="Sweep: tenants to sync in this one run. Only without a partition."
    )


def trigger_of(tags: Mapping[str, str]) -> Trigger:
    """Who asked for a run, told from the tags Dagster leaves on it."""
    if "dagster/backfill" in tags and "dagster/from_automation_condition" not in tags:
        return Trigger.BACKFILL
    if "dagster/schedule_name" in tags:
        return Trigger.SCHEDULE
    if "dagster/sensor_name" in tags or "dagster/from_automation_condition" in tags:
        return Trigger.SENSOR
    return Trigger.MANUAL


def resolve_sync_type(asked: SyncType, tags: Mapping[str, str]) -> SyncMode:
    """Full or incremental: the config's word, then the run tag's, then full for a backfill by hand.

    Automation conditions launch backfills too; those stay incremental. Raises Misuse for a tag
    that is neither.
    """
    if asked is not SyncType.auto:
        return SyncMode(asked.value)
    tagged = tags.get(SYNC_TYPE_TAG, SyncType.auto.value)
    if tagged not in SyncType.__members__:
        raise Misuse(
            "bad_sync_type",
            f"The run tag {SYNC_TYPE_TAG} is {tagged[:40]!r}.",
            next_step="Set it to full, incremental or auto, or leave it out.",
        )
    if tagged != SyncType.auto.value:
        return SyncMode(tagged)
    return SyncMode.FULL if trigger_of(tags) is Trigger.BACKFILL else SyncMode.INCREMENTAL
