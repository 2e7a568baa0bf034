"""The run log tells what changed, and nothing twice."""

from __future__ import annotations

from gtmc_pipelines.defs.narrator import EVERY_SECONDS, Narrator, sheet_text
from gtmc_pipelines.workflows.progress import Progress


class Told:
    """A narrator with a clock that the test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.lines: list[str] = []
        self.narrator = Narrator(self._say, lambda: self.seconds)

    def _say(self, template: str, *values: object) -> None:
        self.lines.append(template.format(*values))

    def tell(self, **now: object) -> list[str]:
        """What is said for this moment."""
        self.lines.clear()
        self.narrator.tell(Progress("w", **now))  # type: ignore[arg-type]
        return list(self.lines)


def test_a_phase_is_told_once() -> None:
    told = Told()
    assert told.tell(phase="syncing") == ["phase: syncing"]
    assert told.tell(phase="syncing") == []


def test_counts_are_told_every_few_seconds_and_only_those_that_changed() -> None:
    told = Told()
    assert told.tell(counts={"leads": {"read": 10}}) == []
    told.seconds = EVERY_SECONDS
    sheets = {"leads": {"read": 2000, "created": 2000}, "tasks": {"read": 0}}
    assert told.tell(counts=sheets) == ["leads: 2,000 read, 2,000 created; tasks: 0 read"]
    told.seconds *= 2
    assert told.tell(counts=sheets) == []
    assert told.tell(counts={**sheets, "tasks": {"read": 5, "unchanged": 5}}) == ["tasks: 5 read, 5 unchanged"]


def test_why_a_sync_waits_is_told_once() -> None:
    told = Told()
    assert told.tell(note="Attempt 2 after: quota") == ["Attempt 2 after: quota"]
    assert told.tell(note="Attempt 2 after: quota") == []


def test_a_sheet_leaves_out_zeros() -> None:
    assert sheet_text({"read": 3, "created": 0, "failed": 3}) == "3 read, 3 failed"
