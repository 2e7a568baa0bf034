"""Schedules of connectors: what is refused, and what the next times are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gtmc_pipelines.model.cadence import next_times
from gtmc_pipelines.model.errors import Misuse

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "code"),
    [
        ("* * * * *", "too_often"),
        ("*/4 * * * *", "too_often"),
        ("*/7 * * * *", "too_often"),  # 56 and 0 are four minutes apart
        ("58,2 3,4 * * *", "too_often"),
        ("58,2 0,23 * * *", "too_often"),
        ("0 0 30 2 *", "bad_cron"),
        ("61 * * * *", "bad_cron"),
        ("0 0 * *", "bad_cron"),
        ("0 0 * * * *", "bad_cron"),
        ("R * * * *", "bad_cron"),
        ("R(0-10) * * * *", "bad_cron"),
        ("H * * * *", "bad_cron"),
        ("@daily", "bad_cron"),
        ("", "bad_cron"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(cron: str, code: str) -> None:
    with pytest.raises(Misuse) as caught:
        next_times(cron, "UTC", NOW)
    assert caught.value.code == code


@pytest.mark.parametrize("cron", ["*/5 * * * *", "58,2 3 * * *", "30 6 * * mon-fri", "0 0 L * *", "0 0 29 2 *"])
def test_five_minutes_apart_is_enough(cron: str) -> None:
    assert len(next_times(cron, "UTC", NOW)) == 5


def test_times_are_those_of_the_zone_across_a_change_of_clocks() -> None:
    moments = next_times("30 6 * * *", "Europe/Berlin", NOW, 2)
    assert [moment.astimezone(UTC).hour for moment in moments] == [4, 4]  # summer time began in the night
    assert [f"{moment:%d %H:%M}" for moment in moments] == ["29 06:30", "30 06:30"]


def test_an_unknown_zone_names_the_near_ones() -> None:
    with pytest.raises(Misuse) as caught:
        next_times("0 * * * *", "Europe/Berln", NOW)
    assert caught.value.code == "unknown_timezone"
    assert "Europe/Berlin" in caught.value.next_step


def test_an_hour_that_comes_twice_is_one_moment_of_a_cron_that_names_it() -> None:
    evening = datetime(2026, 10, 24, 18, 0, tzinfo=UTC)
    named = next_times("30 2 * * *", "Europe/Berlin", evening, count=2)
    assert [moment.day for moment in named] == [25, 26]
    hourly = next_times("30 * * * *", "Europe/Berlin", evening, count=10)
    assert [moment.hour for moment in hourly] == [20, 21, 22, 23, 0, 1, 2, 2, 3, 4]
