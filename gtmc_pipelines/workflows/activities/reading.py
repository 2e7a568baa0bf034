"""Reading: the streams of a connector one after the other, as a flow of batches, slice ends and stream ends.

Runs in a thread of its own (activities.ahead). A stream that breaks ends alone, with its reason, and so does
a slice of one (activities.slices); what concerns the whole connection (reconnect, quota, transient trouble)
ends the flow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from gtmc_pipelines.connectors.contract import Connector
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.errors import (
    Broken,
    Defer,
    GtmcError,
    Misuse,
    Reauthorize,
    Reject,
    Retry,
    SyncFault,
    Unserved,
)
from gtmc_pipelines.model.records import Page
from gtmc_pipelines.workflows.activities.coalesce import coalesce
from gtmc_pipelines.workflows.activities.positions import Positions, Start
from gtmc_pipelines.workflows.activities.slices import LeftOutBefore, ReadBatch, SliceEnd, SliceWalk, fault_of_reading

ENDS_THE_SYNC = (Retry, Defer, Reauthorize, Misuse)
"""Faults of the connection as a whole. The others end one stream, and its siblings go on."""


OF_ONE_STREAM = frozenset({"forbidden", "insufficient_access"})
"""Codes of Reauthorize that say what a login may not do: other streams may be open to it, until all are refused."""


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """A stream was read to its end, or broke with `fault`. `slices` are all that a sliced one has now."""

    stream: Stream
    fault: SyncFault | None = None
    slices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """A bound was reached; more is to be read."""


OwnStep = ReadBatch | SliceEnd
Step = OwnStep | StreamEnd | SegmentEnd

Sent = tuple[Page, Start]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a segment does around the reading of a stream: nothing, unless told otherwise.

    `begin` may set back where a read starts, `gather` hold back the first steps, `behind` gives what is written
    behind the stream's own pages.
    """

    begin: Callable[[Stream, Start], Start] = lambda stream, start: start
    gather: Callable[[Stream, Iterator[OwnStep]], Iterator[OwnStep]] = lambda stream, steps: steps
    behind: Callable[[Stream], Iterator[Sent]] = lambda stream: iter(())


LeftOutByStream = Mapping[str, Mapping[str, LeftOutBefore]]
"""What is known of slices that were left out before, by stream and slice."""


class SegmentBounds:
    """How much one segment reads: numbers of records and seconds, checked after each batch and slice."""

    def __init__(self, records: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._records = records
        self._clock = clock
        self._deadline = clock() + seconds

    def is_reached_after(self, page: Page) -> bool:
        """Count a batch; True when it was the last one of this segment."""
        self._records -= page.read
        return self._records <= 0 or self.is_late

    @property
    def is_late(self) -> bool:
        """Whether the segment's time is over."""
        return self._clock() >= self._deadline


def read_streams(
    connector: Connector,
    session: Any,
    streams: Sequence[Stream],
    positions: Positions,
    bounds: SegmentBounds,
    prepare: Callable[[Stream], None],
    left_out: LeftOutByStream | None = None,
    hooks: Hooks | None = None,
) -> Iterator[Step]:
    """The steps of one segment; what this sync has read in an earlier one is left out.

    `prepare` is called before a stream is asked for anything; what it raises ends the stream as a fault
    of reading does. `left_out` says which slices were left out before: they come last.

    Raises faults of ENDS_THE_SYNC; turns every other one, known or not, into the end of its slice or stream.
    A stream the login may not read ends alone too, after the others: only when all are refused is it raised.
    """
    hooks = hooks or Hooks()
    refused: list[tuple[StreamEnd, Reauthorize]] = []
    for stream in streams:
        members: list[str] = []
        try:
            prepare(stream)
            own = _steps(connector, session, stream, positions, hooks, (left_out or {}).get(stream.name, {}), members)
            more = (ReadBatch(stream, start, page) for page, start in hooks.behind(stream))
            for step in chain(hooks.gather(stream, own), more):
                yield step
                if bounds.is_reached_after(step.page) if isinstance(step, ReadBatch) else bounds.is_late:
                    yield SegmentEnd()
                    return
        except Reauthorize as fault:
            if fault.code not in OF_ONE_STREAM:
                raise
            refused.append((StreamEnd(stream, fault, tuple(members)), fault))
        except ENDS_THE_SYNC:
            raise
        except (Broken, Reject, Unserved) as fault:
            yield StreamEnd(stream, fault, tuple(members))
        except GtmcError:
            raise
        except Exception as error:  # noqa: BLE001 - wrapped, logged, and reported as this stream's end
            yield StreamEnd(stream, fault_of_reading(error, stream), tuple(members))
        else:
            yield StreamEnd(stream, None, tuple(members))
    if refused and len(refused) == len(streams):
        raise refused[0][1]
    yield from (end for end, _ in refused)


def _steps(
    connector: Connector,
    session: Any,
    stream: Stream,
    positions: Positions,
    hooks: Hooks,
    before: Mapping[str, LeftOutBefore],
    members: list[str],
) -> Iterator[ReadBatch | SliceEnd]:
    """The steps of one stream. `members` is filled with the slices a sliced one has."""

    def read(key: str) -> Iterator[ReadBatch]:
        return _batches(connector, session, stream, positions, hooks, key)

    keys = [part.key for part in connector.slices(session, stream)]
    if stream.is_sliced:
        members += keys
        yield from SliceWalk(stream, read, before).steps(keys)
        return
    for key in keys:
        yield from read(key)


def _batches(
    connector: Connector, session: Any, stream: Stream, positions: Positions, hooks: Hooks, key: str
) -> Iterator[ReadBatch]:
    start = positions.start_of(stream, key)
    while start is not None:
        following, start = None, hooks.begin(stream, start)
        for page in coalesce(connector.read(session, stream, start.read)):
            yield ReadBatch(stream, start, page)
            following = positions.after(start, page) if page.is_last else None
        start = following
