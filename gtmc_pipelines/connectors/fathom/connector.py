"""The Fathom connector: the contract, answered by this folder's other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource
from gtmc_pipelines.connectors.fathom.absence import census, still_there
from gtmc_pipelines.connectors.fathom.api import FathomSession
from gtmc_pipelines.connectors.fathom.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.connectors.fathom.streams import read_meetings
from gtmc_pipelines.connectors.options import Option, https_url, matching, whole_number
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.model.records import Census, Found, Health, Page, ReadFrom, Slice, SourceField, Unseen

OPTIONS = (
    Option(
        "profile",
        "vendor, or product-docs for what the product's own pages say",
        matching(r"vendor|product-docs", "vendor or product-docs"),
    ),
    Option("base_url", "API root instead of the profile's", https_url),
    Option(
        "auth_style", "How the key is sent: x-api-key or bearer", matching(r"x-api-key|bearer", "x-api-key or bearer")
    ),
    Option(
        "probe_path",
        "Path under the API root that verifies the key",
        matching(r"(/[A-Za-z0-9_-]{1,40}){1,5}", "a path like /teams"),
    ),
    Option(
        "include_mode",
        "Transcripts with the list, or one by one as OAuth apps must: list or recordings",
        matching(r"list|recordings", "list or recordings"),
    ),
    Option("lookback_days", "Days an incremental sync reads again for late transcripts", whole_number(0, 365)),
    Option("rate_limit", "Requests in a window of time (the vendor allows 60)", whole_number(1, 100_000)),
    Option("heavy_rate_limit", "Of these, with transcript or summary (30)", whole_number(1, 100_000)),
    Option("rate_seconds", "Seconds of that window (60)", whole_number(1, 3_600)),
)

_FIELDS = (
    ("recording_id", "integer", True),
    ("title", "string", True),
    ("meeting_title", "string", False),
    ("meeting_type", "string", False),
    ("url", "string", True),
    ("share_url", "string", True),
    ("meeting_url", "string", False),
    ("created_at", "datetime", True),
    ("scheduled_start_time", "datetime", True),
    ("scheduled_end_time", "datetime", True),
    ("recording_start_time", "datetime", True),
    ("recording_end_time", "datetime", True),
    ("calendar_invitees_domains_type", "string", True),
    ("shared_with", "string", False),
    ("transcript_language", "string", True),
    ("calendar_invitees", "array", True),
    ("recorded_by", "object", True),
    ("recorded_by.name", "string", True),
    ("recorded_by.email", "string", True),
    ("recorded_by.team", "string", False),
    ("transcript", "array", False),
    ("default_summary", "object", False),
    ("default_summary.markdown_formatted", "string", False),
)


class FathomConnector:
    """Meetings that the key's owner recorded or may see."""

    type = ConnectorType.FATHOM
    streams = STREAMS[ConnectorType.FATHOM]

    def authenticate(self, credentials: CredentialSource, settings: ConnectorSettings) -> FathomSession:
        """A session with the stored key; no call is made. Raises Reauthorize when there is no key."""
        return FathomSession(credentials, settings)

    def health_check(self, session: FathomSession) -> Health:
        """Calls the probe path with the key."""
        try:
            session.probe()
        except GtmcError as error:
            return Health(False, session.probe_url, str(error))
        facts = {name: str(value) for name, value in session.usage.items() if name.startswith("api_")}
        return Health(True, session.probe_url, "Fathom answers and accepts the key.", facts)

    def slices(self, session: FathomSession, stream: Stream) -> Sequence[Slice]:
        """One unnamed slice: meetings are not sliced."""
        return (Slice(""),)

    def read(self, session: FathomSession, stream: Stream, start: ReadFrom) -> Iterator[Page]:
        """Pages of meetings, newest first."""
        return read_meetings(session, start)

    def still_there(
        self, session: FathomSession, stream: Stream, part: str, unseen: Sequence[Unseen]
    ) -> Iterator[Found]:
        """Meetings that a second walk or their recording shows."""
        return still_there(session, unseen)

    def has_slice(self, session: FathomSession, stream: Stream, key: str) -> bool:
        """The one slice always exists."""
        return True

    def census(self, session: FathomSession, stream: Stream, until: datetime, turn: int) -> Iterator[Census]:
        """Ids of the last weeks' meetings."""
        return census(session, until)

    def describe_fields(self, session: FathomSession, entity: Entity) -> list[SourceField]:
        """The documented fields of a meeting: Fathom has no custom ones and no call that lists them."""
        return [
            SourceField(name, name.replace("_", " ").replace(".", ": ").capitalize(), kind, is_required)
            for name, kind, is_required in _FIELDS
        ]

    def default_mappings(self) -> Mapping[Entity, Sequence[MappingEntry]]:
        """The documented shape of the activity, and ours of the meeting."""
        return DEFAULT_MAPPINGS
