"""Full or incremental, and who asked: told from run config and run tags."""

from __future__ import annotations

import pytest

from gtmc_pipelines.defs.config import SyncType, resolve_sync_type, trigger_of
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.phases import SyncMode, Trigger


@pytest.mark.parametrize(
    ("asked", "tags", "mode"),
    [
        (SyncType.auto, {}, SyncMode.INCREMENTAL),
        (SyncType.auto, {"dagster/backfill": "b1"}, SyncMode.FULL),
        (
            SyncType.auto,
            {"dagster/backfill": "b1", "dagster/from_automation_condition": "true"},
            SyncMode.INCREMENTAL,
        ),
        (SyncType.auto, {"gtmc/sync_type": "full"}, SyncMode.FULL),
        (SyncType.auto, {"gtmc/sync_type": "incremental", "dagster/backfill": "b1"}, SyncMode.INCREMENTAL),
        (SyncType.incremental, {"gtmc/sync_type": "full", "dagster/backfill": "b1"}, SyncMode.INCREMENTAL),
        (SyncType.full, {}, SyncMode.FULL),
        (SyncType.auto, {"gtmc/sync_type": "full", "dagster/parent_run_id": "x"}, SyncMode.FULL),
    ],
)
def test_config_wins_over_the_tag_and_the_tag_over_the_backfill(
    asked: SyncType, tags: dict[str, str], mode: SyncMode
) -> None:
    assert resolve_sync_type(asked, tags) is mode


def test_a_tag_that_is_no_sync_type_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(Misuse) as refusal:
        resolve_sync_type(SyncType.auto, {"gtmc/sync_type": "everything"})
    assert "everything" in refusal.value.sentence
    assert "full, incremental or auto" in refusal.value.next_step


@pytest.mark.parametrize(
    ("tags", "trigger"),
    [
        ({}, Trigger.MANUAL),
        ({"dagster/from_ui": "true", "dagster/partition": "acme"}, Trigger.MANUAL),
        ({"dagster/backfill": "b1", "dagster/from_ui": "true"}, Trigger.BACKFILL),
        ({"dagster/schedule_name": "s"}, Trigger.SCHEDULE),
        ({"dagster/sensor_name": "s"}, Trigger.SENSOR),
        ({"dagster/backfill": "b1", "dagster/from_automation_condition": "true"}, Trigger.SENSOR),
    ],
)
def test_the_trigger_is_told_from_the_tags_dagster_leaves(tags: dict[str, str], trigger: Trigger) -> None:
    assert trigger_of(tags) is trigger
