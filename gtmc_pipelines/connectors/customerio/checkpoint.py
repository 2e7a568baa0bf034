"""Checkpoints and watermarks of Customer.io's streams: all that is needed to go on right after a page."""

from __future__ import annotations

from datetime import UTC, timedelta

import msgspec

from gtmc_pipelines.connectors import positions
from gtmc_pipelines.connectors.customerio.ahead import checked
from gtmc_pipelines.model.records import ReadFrom


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """The next page's cursor; for logs also where the read (or its present window) begins, in unix seconds."""

    start: str = ""
    low: int = 0


_DECODER = msgspec.json.Decoder(Checkpoint)


def decode(text: str | None) -> Checkpoint | None:
    """From a page's text, None for none. Raises Broken for anything else."""
    if text is None:
        return None
    found = positions.decoded(text, _DECODER)
    if found.start:
        checked(found.start)
    return found


def since(start: ReadFrom, again: timedelta) -> int | None:
    """Unix seconds an incremental read goes back to: its watermark less what is read again. None: everything."""
    watermark = positions.watermark_of(start)
    return None if watermark is None else int((watermark - again).timestamp())


def watermark_of(start: ReadFrom) -> str:
    """Where the next incremental read starts: the upper bound of this one."""
    return start.until.astimezone(UTC).isoformat()
