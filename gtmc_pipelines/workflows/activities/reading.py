"""Reading: the streams of a connector one after the other, as a flow of batches and stream ends.

Runs in a thread of its own (activities.ahead). A stream that breaks ends alone, with its reason;
what concerns the whole connection (reconnect, quota, transient trouble) ends the flow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gtmc_pipelines.connectors.contract import Connector
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.errors import Broken, Defer, GtmcError, Misuse, Reauthorize, Reject, Retry, SyncFault
from gtmc_pipelines.model.records import Page
from gtmc_pipelines.workflows.activities.coalesce import coalesce
from gtmc_pipelines.workflows.activities.positions import Positions, Start
from gtmc_pipelines.workflows.faults import unexpected

ENDS_THE_SYNC = (Retry, Defer, Reauthorize, Misuse)
"""Faults of the connection as a whole. The others end one stream, and its siblings go on."""


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """Some pages of one slice of a stream, merged, and where their read had started."""

    stream: Stream
    start: Start
    page: Page


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """A stream was read to its end, or broke with `fault`."""

    stream: Stream
    fault: SyncFault | None = None


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """A bound was reached; more is to be read."""


Step = ReadBatch | StreamEnd | SegmentEnd


class SegmentBounds:
    """How much one segment reads: numbers of records and seconds, checked after each batch."""

    def __init__(self, records: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._records = records
        self._clock = clock
        self._deadline = clock() + seconds

    def is_reached_after(self, page: Page) -> bool:
        """Count a batch; True when it was the last one of this segment."""
        self._records -= page.read
        return self._records <= 0 or self._clock() >= self._deadline


def read_streams(
    connector: Connector,
    session: Any,
    streams: Sequence[Stream],
    positions: Positions,
    bounds: SegmentBounds,
    prepare: Callable[[Stream], None],
) -> Iterator[Step]:
    """The steps of one segment; what this sync has read in an earlier one is left out.

    `prepare` is called before a stream is asked for anything; what it raises ends the stream as a fault
    of reading does.

    Raises faults of ENDS_THE_SYNC; turns every other one, known or not, into the end of its stream.
    """
    for stream in streams:
        try:
            prepare(stream)
            for page, start in _pages(connector, session, stream, positions):
                yield ReadBatch(stream, start, page)
                if bounds.is_reached_after(page):
                    yield SegmentEnd()
                    return
        except ENDS_THE_SYNC:
            raise
        except (Broken, Reject) as fault:
            yield StreamEnd(stream, fault)
        except GtmcError:
            raise
        except Exception as error:  # noqa: BLE001 - wrapped, logged, and reported as this stream's end
            yield StreamEnd(stream, unexpected(error, f"reading {stream.connector} {stream.name}"))
        else:
            yield StreamEnd(stream)


def _pages(connector: Connector, session: Any, stream: Stream, positions: Positions) -> Iterator[tuple[Page, Start]]:
    for part in connector.slices(session, stream):
        start = positions.start_of(stream, part.key)
        while start is not None:
            following = None
            for page in coalesce(connector.read(session, stream, start.read)):
                yield page, start
                following = positions.after(start, page) if page.is_last else None
            start = following
