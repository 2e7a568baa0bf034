"""Stored positions of reads, checkpoints and watermarks: as text, and back, or the error that they are damaged."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import ReadFrom

_Position = TypeVar("_Position")


def encode(position: msgspec.Struct) -> str:
    """A position as text for a page."""
    return msgspec.json.encode(position).decode()


def decoded(text: str, decoder: msgspec.json.Decoder[_Position], what: str = "checkpoint") -> _Position:
    """The position of a page's text. Raises Broken (`bad_checkpoint`) for anything else."""
    try:
        return decoder.decode(text)
    except msgspec.MsgspecError:
        raise damaged_checkpoint(what) from None


def watermark_of(start: ReadFrom) -> datetime | None:
    """Where an incremental read goes on, None for everything. Raises Broken (`bad_watermark`) when damaged."""
    if start.mode is SyncMode.FULL or not start.watermark:
        return None
    try:
        return datetime.fromisoformat(start.watermark)
    except ValueError:
        raise damaged_watermark() from None


def damaged_checkpoint(what: str = "checkpoint") -> Broken:
    """The error for a checkpoint that says nothing we have written."""
    return Broken("bad_checkpoint", f"The stored {what} is damaged.", next_step="Run a full sync.")


def damaged_watermark() -> Broken:
    """The error for a watermark that is no time a read can start at."""
    return Broken("bad_watermark", "The stored watermark is damaged.", next_step="Run a full sync.")
