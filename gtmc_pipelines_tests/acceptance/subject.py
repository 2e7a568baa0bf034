"""What the acceptance suite needs to know of a connector: a subject, as data.

A sixth connector adds `subject_<vendor>.py` with a `SUBJECT` and one line to `subjects.py`. Whatever can't
happen at a vendor is declared with its reason (`Exempt`), never skipped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from gtmc_pipelines.connectors.contract import Credentials
from gtmc_pipelines.model.catalog import Stream, stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.acceptance.site import Change, Site

__all__ = [
    "Change",
    "Connected",
    "Exempt",
    "Fault",
    "HiddenField",
    "Late",
    "Members",
    "Rate",
    "Refusal",
    "Site",
    "StreamCase",
    "Subject",
    "Wish",
]

Wish = Mapping[str, Any]
"""A knob of the sandbox without `org` and `path`: `{"fault": "cursor_loop"}`. `count` and `after` as for knobs."""


@dataclass(frozen=True)
class Exempt:
    """A scenario this vendor can't have, and why: one sentence."""

    reason: str


class Fault(StrEnum):
    """What goes wrong with a stream's pages; each subject says by which knob, or why it can't."""

    CURSOR_LOOP = "cursor_loop"  # a next link (or cursor) that leads to the same page, for ever
    EMPTY_PAGE = "empty_page"  # one page without records that has a next link to the rest
    FOREIGN_LINK = "foreign_link"  # a next link to another host; the suite adds `url`
    MALFORMED_RECORD = "malformed_record"  # one record among good ones without an id: rejected as `missing_id`
    UNKNOWN_FIELD = "unknown_field"  # records with a member the contract doesn't know
    MISSING_OPTIONAL = "missing_optional"  # records without a member the mapping can do without
    MISSING_REQUIRED = "missing_required"  # one page's records without a member the mapping requires
    HUGE_RECORD = "huge_record"  # one record of more than 1,000,000 bytes


@dataclass(frozen=True)
class Late:
    """A change that becomes visible after a sync although its stamp is `age` before that sync's watermark."""

    change: Change
    age: timedelta


@dataclass(frozen=True)
class Rate:
    """The vendor's rate limit in this suite: at most `limit` requests in any `per_seconds`.

    `options` go to the connector to set that limit: small enough that a full sync of the small org meets it.
    `path` (regular expression) says which requests count.
    """

    limit: int
    per_seconds: float
    options: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""


@dataclass(frozen=True)
class Members:
    """A stream that is read member by member (slice by slice), and how single ones of them fail.

    `keys` are three that can be read. `unknown` and `down` are knobs that strike one of them, by its key in the path,
    and end in the reason beside them: not to be served, and down for good. `options` make a member's read short.
    """

    stream: str
    keys: tuple[str, str, str]
    unknown: tuple[Wish, str]
    down: tuple[Wish, str]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """One stream whose first call (its describe, or its first page) the vendor refuses, as often as it is asked.

    `code` is what the stream's end says. `wish` may name a `path` other than the stream's endpoint.
    """

    stream: str
    path: str
    wish: Wish
    code: str


@dataclass(frozen=True)
class HiddenField:
    """A mapped field that vanishes from a stream by the knob `wish`.

    `name` is what we call it; `column` of `table` is made of it, and loses `member` when that is given.
    """

    stream: str
    name: str
    wish: Wish
    table: str
    column: str
    member: str = ""
    needs_full: bool = False  # an incremental sync reads too few of the records that are stored


@dataclass(frozen=True)
class StreamCase:
    """One stream of the catalog in front of the imitated vendor.

    `endpoint` is a regular expression for the paths of its data requests: faults strike there and nowhere
    else. `changes` alter canonical rows. `delete` must be given where the catalog says the vendor tells.
    `faults` win over the subject's. `same_reader_as` names the stream whose reading code this one shares:
    faults are tried there.
    """

    name: str
    endpoint: str
    changes: tuple[Change, ...]
    late: Late | Exempt
    delete: Change | Exempt
    faults: Mapping[Fault, Wish | Exempt] = field(default_factory=dict)
    same_reader_as: str = ""


@dataclass(frozen=True)
class Connected:
    """What a login or a key would have left behind: secrets to seal and options of the connector's row."""

    credentials: Credentials
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """One connector and the imitated vendor it is tried against.

    - `sizes`: sandbox sizes: small, but with several pages for every stream that is not `same_reader_as`.
    - `environment`: settings by variable name that this vendor needs (app credentials, base URL). The suite
      sets database, keys, sandbox hosts and CA itself.
    - `connect`: credentials and options (page sizes, hosts, a generous pace) for `site.org`. May do a real login.
    - `expired`: knobs after which the credentials are refused for good (on any path).
    - `consent`: what a tenant must agree to before a sync (Office 365).
    - `prepare`: more to do to the vendor after each reset, if anything.
    - `members`: a stream that is read member by member; `refusals`: streams that are refused while others aren't.
    - `wide`: knobs that give every record 800 more fields; `hidden`: a mapped field that can vanish.
    - `ways`: other ways to read the same (a bulk API, a second profile), by name, as options.
    """

    type: ConnectorType
    sizes: Mapping[str, int]
    connect: Callable[[Site], Connected]
    streams: tuple[StreamCase, ...]
    faults: Mapping[Fault, Wish | Exempt]
    expired: tuple[Wish, ...]
    rate: Rate | Exempt
    wide: tuple[Wish, ...] | Exempt
    hidden: HiddenField | Exempt
    members: Members | Exempt
    refusals: tuple[Refusal, ...] | Exempt
    environment: Callable[[Site], Mapping[str, Any]] = lambda site: {}
    consent: Callable[[Database, str, Site], None] | None = None
    prepare: Callable[[Site], None] | None = None
    ways: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def probed(self) -> tuple[StreamCase, ...]:
        """Streams with reading code of their own."""
        return tuple(case for case in self.streams if not case.same_reader_as)

    def wish(self, case: StreamCase, fault: Fault) -> Wish | Exempt:
        """How a fault is brought about at a stream. Raises KeyError when nobody has said."""
        return case.faults[fault] if fault in case.faults else self.faults[fault]

    def stream(self, case: StreamCase) -> Stream:
        """The catalog's entry."""
        found = stream_of(self.type, case.name)
        assert found is not None, f"{self.type} has no stream {case.name!r}"
        return found
