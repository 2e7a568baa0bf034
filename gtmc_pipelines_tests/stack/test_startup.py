"""Steps start when what they need is ready, and a failure stops the ones that aren't."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack.process import ChildProcess
from gtmc_pipelines.stack.startup import Progress, Step, run_steps

Spawn = Callable[..., ChildProcess]


def _told(steps: list[Step]) -> list[tuple[str, str]]:
    told: list[Progress] = []
    run_steps(steps, told.append)
    return [(progress.name, progress.state) for progress in told]


def test_a_step_waits_for_what_it_needs() -> None:
    told = _told([Step("worker", lambda: None, needs=("server",)), Step("server", lambda: None)])
    assert told == [("server", "starting"), ("server", "ready"), ("worker", "starting"), ("worker", "ready")]


def test_a_need_that_is_not_part_of_this_start_counts_as_ready() -> None:
    assert _told([Step("worker", lambda: None, needs=("sandbox",))])[-1] == ("worker", "ready")


def test_a_program_is_done_when_it_ends_well_and_then_it_finishes(spawn: Spawn) -> None:
    finished: list[str] = []
    run_steps([Step("migrations", lambda: spawn("pass"), finish=lambda: finished.append("now"))], lambda _: None)
    assert finished == ["now"]


def test_a_failed_program_is_told_in_its_own_last_line(spawn: Spawn) -> None:
    step = Step("migrations", lambda: spawn("raise SystemExit('The database can\\'t be reached.')"))
    with pytest.raises(Misuse, match="failed: The database can't be reached"):
        run_steps([step], lambda _: None)


def test_when_one_fails_the_unready_others_are_stopped(spawn: Spawn) -> None:
    slow = spawn("import signal; signal.pause()")
    steps = [Step("slow", lambda: slow, lambda: False), Step("bad", lambda: spawn("raise SystemExit(1)"))]
    with pytest.raises(Misuse):
        run_steps(steps, lambda _: None)
    assert slow.exit_status() is not None


def test_a_late_step_is_told(spawn: Spawn) -> None:
    step = Step("slow", lambda: spawn("import signal; signal.pause()"), lambda: False, within_seconds=0.05)
    with pytest.raises(Misuse, match="not ready"):
        run_steps([step], lambda _: None)


def test_a_cancelled_start_stops_what_was_not_ready(spawn: Spawn) -> None:
    slow = spawn("import signal; signal.pause()")
    begun: list[str] = []

    def begin() -> ChildProcess:
        begun.append("slow")
        return slow

    with pytest.raises(KeyboardInterrupt):
        run_steps([Step("slow", begin, lambda: False)], lambda _: None, lambda: bool(begun))
    assert slow.exit_status() is not None
