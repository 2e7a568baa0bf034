"""Checkpoints and watermarks of Customer.io's streams: all that is needed to go on right after a page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from gtmc_pipelines.connectors.customerio.ahead import checked
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import ReadFrom


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """The next page's cursor; for logs also where the read (or its present window) begins, in unix seconds."""

    start: str = ""
    low: int = 0


_DECODER = msgspec.json.Decoder(Checkpoint)


def encode(checkpoint: Checkpoint) -> str:
    """As text for a page."""
    return msgspec.json.encode(checkpoint).decode()


def decode(text: str | None) -> Checkpoint | None:
    """From a page's text, None for none. Raises Broken for anything else."""
    if text is None:
        return None
    try:
        found = _DECODER.decode(text)
    except msgspec.MsgspecError:
        raise Broken("bad_checkpoint", "The stored checkpoint is damaged.", next_step="Run a full sync.") from None
    if found.start:
        checked(found.start)
    return found


def since(start: ReadFrom, again: timedelta) -> int | None:
    """Unix seconds an incremental read goes back to: its watermark less what is read again. None: everything."""
    if start.mode is SyncMode.FULL or not start.watermark:
        return None
    try:
        watermark = datetime.fromisoformat(start.watermark)
    except ValueError:
        raise Broken("bad_watermark", "The stored watermark is damaged.", next_step="Run a full sync.") from None
    return int((watermark - again).timestamp())


def watermark_of(start: ReadFrom) -> str:
    """Where the next incremental read starts: the upper bound of this one."""
    return start.until.astimezone(UTC).isoformat()
