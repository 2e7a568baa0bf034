"""The connector contract: what each vendor's folder provides and what it is given (design section 6)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from gtmc_pipelines.connectors.destinations import Destinations
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import REQUEST_SECONDS, REQUEST_SECONDS_OF, Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.records import (
    Census,
    Found,
    Health,
    Page,
    ReadFrom,
    Slice,
    SourceField,
    SourceRecord,
    Unseen,
)
from gtmc_pipelines.vault.secret import Secret

Credentials = Mapping[str, Secret]
"""Opened secrets of one connector by name, for example `access_token`, `refresh_token`, `api_key`."""


class CredentialSource(Protocol):
    """Where a connector's credentials come from and where renewed ones are kept.

    A connector never stores anything itself: the caller gives it one of these.
    """

    def read(self) -> Credentials:
        """The credentials as they are stored now."""
        ...

    def renew(self, stale: Secret, exchange: Callable[[Credentials], Credentials]) -> Credentials:
        """Replace credentials whose `access_token` is `stale`, exactly once however many callers ask.

        Holds the connector's lock, reads again and, if somebody else has renewed meanwhile, gives
        theirs. Otherwise calls `exchange` with the current ones, commits what it gives (merged over
        the current), and only then returns it: a rotated refresh token is stored before it is used.
        """
        ...


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of every vendor call; times in seconds, sizes in bytes."""

    connect_seconds: float = 10.0
    total_seconds: float = REQUEST_SECONDS  # of one request, from before the connect to the last byte, whatever drips
    max_body_bytes: int = 256 * 1024 * 1024
    max_attempts: int = 6
    max_wait_seconds: float = 60.0  # a longer wish of the vendor becomes Retry(after_seconds)

    @classmethod
    def of(cls, connector: ConnectorType) -> HttpLimits:
        """The bounds of a vendor's calls."""
        return cls(total_seconds=REQUEST_SECONDS_OF.get(connector, REQUEST_SECONDS))


@dataclass(frozen=True, slots=True)
class ConnectorSettings:
    """What a connector needs to know besides secrets of the tenant.

    `options` are the plain settings of the connector row over the vendor-true defaults (base URL,
    API version, page size). `app` holds secrets of our own registration with the vendor
    (`client_id`, `client_secret`). `sandbox_hosts` (`host:port`) are the only places where a
    loopback address or plain http is allowed; `ca_file` is an extra CA to trust there. `http_proxy` is the
    `http://user:password@host:port` that every call goes through, if any. `destinations` are the hosts that stored
    credentials may be sent to (`bound`); None while new ones are being tried.
    """

    tenant_id: str
    connector_id: str
    options: Mapping[str, Any] = field(default_factory=dict)
    app: Mapping[str, Secret] = field(default_factory=dict)
    overlap: timedelta = timedelta(minutes=10)
    sandbox_hosts: frozenset[str] = frozenset()
    ca_file: str | None = None
    http_proxy: Secret | None = None
    http: HttpLimits = HttpLimits()
    destinations: Destinations | None = None


class Session(Protocol):
    """An authenticated conversation with one vendor on behalf of one tenant. Close it when done."""

    @property
    def usage(self) -> Mapping[str, int]:
        """`requests` made, and gauges the vendor reported: of `api_limit` in 24 hours everybody has `api_used`."""
        ...

    def close(self) -> None:
        """Close connections and end any waiting."""
        ...


Differing = Callable[[Sequence[SourceRecord]], Collection[str]]
"""Given records with a few fields each, tells the ids of those that are stored with other values."""


@runtime_checkable
class DescribesFields(Protocol):
    """A connector whose vendor tells which fields a stream has, and which of them change without a stamp."""

    def shown_fields(self, session: Any, stream: Stream) -> Mapping[str, bool]:
        """Fields a read of the stream takes now; True for calculated ones. Asked of the vendor once a session."""
        ...

    def recalculated(
        self, session: Any, stream: Stream, names: Sequence[str], start: ReadFrom, differing: Differing
    ) -> Iterator[Page]:
        """Look at the calculated fields `names` of every live record; pages of the whole records that differ.

        Resumable as `read` is; each record is of one moment.
        """
        ...


class Connector(Protocol):
    """One per vendor; stateless: no database, no Temporal, no Dagster."""

    @property
    def type(self) -> ConnectorType:
        """Which vendor this is."""
        ...

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What it reads, in the catalog's order."""
        ...

    def authenticate(self, credentials: CredentialSource, settings: ConnectorSettings) -> Session:
        """Turn stored credentials into a session. Raises Reauthorize when that needs the user."""
        ...

    def health_check(self, session: Any) -> Health:
        """A cheap probe that proves the credentials work; never raises for an unhealthy answer."""
        ...

    def slices(self, session: Any, stream: Stream) -> Sequence[Slice]:
        """The slices of a sliced stream; one unnamed slice for the others."""
        ...

    def read(self, session: Any, stream: Stream, start: ReadFrom) -> Iterator[Page]:
        """Pages from `start` to the end; the last one has no checkpoint and carries the watermark.

        Raises a SyncFault by whose turn it is. Stopping early is allowed at any page.
        """
        ...

    def still_there(self, session: Any, stream: Stream, part: str, unseen: Sequence[Unseen]) -> Iterator[Found]:
        """Which of these stored records, unseen by a complete full read of slice `part`, the vendor has after all.

        "" stands for records that any slice may hold. Asked by id where the vendor can be, so that neither a
        page that shifted nor a change in the middle of the read deletes anything. What is in no answer is gone,
        or hidden. Raises a SyncFault by whose turn it is.
        """
        ...

    def has_slice(self, session: Any, stream: Stream, key: str) -> bool:
        """Whether a slice that isn't among `slices` any more exists all the same (a disabled user's mailbox)."""
        ...

    def census(self, session: Any, stream: Stream, until: datetime, turn: int) -> Iterator[Census]:
        """What the vendor has of a stream, as cheaply as it can be asked: for a daily comparison with what is stored.

        Only of records that were there before `until`. Nothing where no truthful question exists. `turn` counts
        days, for those who can look at a part only.
        """
        ...

    def describe_fields(self, session: Any, entity: Entity) -> list[SourceField]:
        """Source fields the vendor offers for an entity, custom ones included."""
        ...

    def default_mappings(self) -> Mapping[Entity, Sequence[MappingEntry]]:
        """The documented default mapping of each entity this connector feeds."""
        ...
