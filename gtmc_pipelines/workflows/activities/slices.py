"""Slices: the members of a group (mailboxes) one after the other, so that none of them holds up the others.

What a member can't be read for is its own end, with the reason: it is left out of this sync, and its position
stays where it is. Trouble of the connection ends the sync, as ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.errors import Broken, Defer, GtmcError, Misuse, Reauthorize, Retry, SyncFault, Unserved
from gtmc_pipelines.model.records import Page
from gtmc_pipelines.storage.outages import outage_in
from gtmc_pipelines.workflows.activities.positions import Start
from gtmc_pipelines.workflows.faults import unexpected

MOST_DOWN_IN_A_ROW = 3
"""So many members down one after the other, and it is the connection that is down: the sync tries again later."""

_OF_THE_CONNECTION = frozenset({"session_closed", "database_unreachable"})
"""Codes of Retry that can't be about one member."""


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """Some pages of one slice of a stream, merged, and where their read had started."""

    stream: Stream
    start: Start
    page: Page


@dataclass(frozen=True, slots=True)
class SliceEnd:
    """A slice of a sliced stream has been read to its end by this sync, or is left out of it because of `fault`.

    One that was down may be told twice: it is asked once more after the others.
    """

    stream: Stream
    slice: str
    fault: SyncFault | None = None


@dataclass(frozen=True, slots=True)
class LeftOutBefore:
    """Why a slice was left out: by the sync before, or already by an earlier attempt or segment of this one."""

    fault: SyncFault
    is_of_this_sync: bool

    @property
    def is_settled(self) -> bool:
        """Whether this sync need not ask again."""
        return self.is_of_this_sync and not isinstance(self.fault, Retry)


Read = Callable[[str], Iterator[ReadBatch]]
"""The batches of one slice that this sync has not read yet."""


class SliceWalk:
    """One pass over the slices of a stream, those first that were not left out before.

    So members that are down for good never stand between a sync and the others, however many they are.
    """

    def __init__(self, stream: Stream, read: Read, before: Mapping[str, LeftOutBefore]) -> None:
        self._stream = stream
        self._read = read
        self._before = before
        self._faults: dict[str, SyncFault] = {}
        self._served = 0
        self._in_a_row = 0

    def steps(self, keys: Sequence[str]) -> Iterator[ReadBatch | SliceEnd]:
        """Batches and ends. Raises what ends the sync or the stream: also when none of the slices could be read."""
        self._faults = {key: before.fault for key in keys if (before := self._before.get(key)) and before.is_settled}
        order = sorted((key for key in keys if key not in self._faults), key=self._place)
        for position, key in enumerate(order, 1):
            yield from self._one(key)
            down = self._faults.get(key)
            if self._in_a_row >= MOST_DOWN_IN_A_ROW and down is not None and position < len(order):
                raise down
        for key in [key for key, fault in self._faults.items() if _is_soon(fault) and key in order]:
            yield from self._one(key)
        if self._faults and not self._served:
            raise self._when_none()

    def _place(self, key: str) -> int:
        before = self._before.get(key)
        return 0 if before is None else 1 + before.is_of_this_sync

    def _one(self, key: str) -> Iterator[ReadBatch | SliceEnd]:
        fault: SyncFault | None = None
        try:
            yield from self._read(key)
        except (Defer, Reauthorize, Misuse):
            raise
        except SyncFault as error:
            if error.code in _OF_THE_CONNECTION:
                raise
            fault = error
        except GtmcError:
            raise
        except Exception as error:  # noqa: BLE001 - wrapped, logged, and reported as this slice's end
            fault = fault_of_reading(error, self._stream)
        self._note(key, fault)
        yield SliceEnd(self._stream, key, fault)

    def _note(self, key: str, fault: SyncFault | None) -> None:
        if fault is None:
            self._faults.pop(key, None)
            self._served += 1
        else:
            self._faults[key] = fault
        if not isinstance(fault, Retry):  # an answer, whatever it says: the connection works
            self._in_a_row = 0
        elif key not in self._before or not self._served:
            self._in_a_row += 1

    def _when_none(self) -> SyncFault:
        """What it is when no slice at all could be read: transient trouble first, then what all have in common.

        Members the vendor can't serve say nothing of why the others weren't read.
        """
        faults = list(self._faults.values())
        for fault in faults:
            if isinstance(fault, Retry):
                return fault
        told = [fault for fault in faults if not isinstance(fault, Unserved)]
        for fault in [] if told else faults:
            if isinstance(fault, Unserved) and fault.when_all is not None:
                return fault.when_all
        told = told or faults
        if len({fault.code for fault in told}) == 1:
            return told[0]
        codes = ", ".join(f"{number} × {code}" for code, number in Counter(each.code for each in faults).most_common())
        return Broken(
            "no_slice_read",
            f"None of the {len(faults)} slices of {self._stream.name} could be read: {codes}.",
            next_step=str(told[0]),
        )


def fault_of_reading(error: Exception, stream: Stream) -> SyncFault:
    """What an exception nobody foresaw is to the stream being read, logged. Raises Retry for an outage of ours."""
    outage = outage_in(error)
    if outage is not None:
        raise outage from None
    return unexpected(error, f"reading {stream.connector} {stream.name}")


def _is_soon(fault: SyncFault) -> bool:
    """Whether a slice is worth another try at the end of this very pass: it was down, and named no time."""
    return isinstance(fault, Retry) and fault.after_seconds is None
