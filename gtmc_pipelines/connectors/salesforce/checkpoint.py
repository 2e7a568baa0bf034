"""Where a read of a Salesforce stream stands: what a page's checkpoint holds, as JSON."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from gtmc_pipelines.connectors import positions
from gtmc_pipelines.connectors.salesforce.soql import Position
from gtmc_pipelines.model.errors import Broken

_NEXT_PATH = re.compile(r"/services/data/v[0-9]{2,3}\.[0-9]/query(?:All)?/[A-Za-z0-9._~-]{1,200}")


class RestCheckpoint(msgspec.Struct, tag="rest", tag_field="kind", frozen=True, omit_defaults=True):
    """The next page's path, and the last record's position for when that path has expired.

    With `parts` above 1 the select list was too much for one query: pages hold its first part.
    """

    next_path: str | None = None
    stamp: datetime | None = None
    record_id: str = ""
    limit: int | None = None
    parts: int = 1

    @property
    def position(self) -> Position | None:
        """The last record read, or None before the first."""
        return Position(self.stamp, self.record_id) if self.stamp is not None and self.record_id else None


class BulkCheckpoint(msgspec.Struct, tag="bulk", tag_field="kind", frozen=True):
    """A query job and the locator of its next page of results."""

    job_id: str
    locator: str


Checkpoint = RestCheckpoint | BulkCheckpoint
_DECODER: msgspec.json.Decoder[Checkpoint] = msgspec.json.Decoder(Checkpoint)


def decode(text: str) -> Checkpoint:
    """From a page's text. Raises Broken for anything else."""
    checkpoint = positions.decoded(text, _DECODER)
    if isinstance(checkpoint, RestCheckpoint) and checkpoint.next_path is not None:
        checked_next_path(checkpoint.next_path)
    return checkpoint


def checked_next_path(path: str) -> str:
    """`path` when it is a query path of this very API. Raises Broken (`foreign_next_link`) otherwise."""
    if not _NEXT_PATH.fullmatch(path):
        raise Broken(
            "foreign_next_link",
            "Salesforce's next-page link leads elsewhere than to its query API, and is not followed.",
            next_step="Report this; nothing of that page was read.",
        )
    return path
