"""Where a walk along Fathom's pages stands: what a page's checkpoint holds, as JSON."""

from __future__ import annotations

import re

import msgspec

from gtmc_pipelines.connectors import positions
from gtmc_pipelines.model.errors import Broken

KEPT_IDS, KEPT_CURSORS = 30, 20
_CURSOR = re.compile(r"[A-Za-z0-9_][A-Za-z0-9+/=_.~-]{0,1999}")


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """The next page's cursor, the window's lower bound, and the newest of what was seen.

    `ids` and `cursors` are short tails: pages shift by a few places, and loops are short.
    """

    cursor: str
    after: str | None = None
    ids: tuple[str, ...] = ()
    cursors: tuple[str, ...] = ()


_DECODER = msgspec.json.Decoder(Checkpoint)


def decode(text: str) -> Checkpoint:
    """From a page's text. Raises Broken for anything else."""
    checkpoint = positions.decoded(text, _DECODER)
    checked_cursor(checkpoint.cursor)
    return checkpoint


def checked_cursor(cursor: str) -> str:
    """`cursor` when it is a plain token. Raises Broken (`foreign_next_link`) for an address or anything else."""
    if not _CURSOR.fullmatch(cursor):
        raise Broken(
            "foreign_next_link",
            "Fathom's cursor of the next page is no plain token but leads elsewhere, and is not followed.",
            next_step="Report this; nothing behind it was read.",
        )
    return cursor
