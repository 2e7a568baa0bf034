"""The Salesforce connector: the contract, answered by this folder's other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource, Differing
from gtmc_pipelines.connectors.options import Option, https_url, matching, whole_number
from gtmc_pipelines.connectors.quota import DAILY_QUOTA_PERCENT
from gtmc_pipelines.connectors.salesforce.absence import census, still_there
from gtmc_pipelines.connectors.salesforce.api import SalesforceSession, open_session
from gtmc_pipelines.connectors.salesforce.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.connectors.salesforce.recalculated import read_recalculated
from gtmc_pipelines.connectors.salesforce.streams import OBJECTS, read_stream, selected_fields
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.model.records import Census, Found, Health, Page, ReadFrom, Slice, SourceField, Unseen

OPTIONS = (
    Option("login_url", "Login host: production, test.salesforce.com or the org's My Domain", https_url),
    Option("api_version", "REST API version, like 66.0", matching(r"[0-9]{2,3}\.0", "a version like 66.0")),
    Option("page_records", "Records a REST page (the vendor's ceiling is 2,000)", whole_number(1, 50_000)),
    Option("bulk_threshold", "Full reads of more records use Bulk API 2.0", whole_number(0, 999_999_999)),
    Option("bulk_page_records", "Records a page of Bulk results", whole_number(1, 250_000)),
    DAILY_QUOTA_PERCENT,
)


class SalesforceConnector:
    """Accounts, contacts, leads, opportunities, tasks and events of one org."""

    type = ConnectorType.SALESFORCE
    streams = STREAMS[ConnectorType.SALESFORCE]

    def authenticate(self, credentials: CredentialSource, settings: ConnectorSettings) -> SalesforceSession:
        """A session from stored tokens; no call is made unless a token has to be renewed first."""
        return open_session(credentials, settings)

    def health_check(self, session: SalesforceSession) -> Health:
        """Reads the org's limits, once it is known that the org serves our API version."""
        url = f"{session.base_url}/limits/"
        try:
            session.check_version()
            daily = session.limits().get("DailyApiRequests", {})
            facts = {"api_calls_left": str(daily.get("Remaining", "")), "api_calls_a_day": str(daily.get("Max", ""))}
        except GtmcError as error:
            return Health(False, url, str(error))
        return Health(True, url, "Salesforce answers and accepts the credentials.", facts)

    def slices(self, session: SalesforceSession, stream: Stream) -> Sequence[Slice]:
        """One unnamed slice: no stream of Salesforce is sliced."""
        return (Slice(""),)

    def read(self, session: SalesforceSession, stream: Stream, start: ReadFrom) -> Iterator[Page]:
        """Pages by SOQL, or by Bulk API 2.0 for a large full read."""
        return read_stream(session, stream.name, start)

    def still_there(
        self, session: SalesforceSession, stream: Stream, part: str, unseen: Sequence[Unseen]
    ) -> Iterator[Found]:
        """Asked for by id, 200 a request."""
        return still_there(session, stream.name, unseen)

    def has_slice(self, session: SalesforceSession, stream: Stream, key: str) -> bool:
        """The one slice always exists."""
        return True

    def census(self, session: SalesforceSession, stream: Stream, until: datetime, turn: int) -> Iterator[Census]:
        """The number of live records."""
        return census(session, stream.name, until)

    def describe_fields(self, session: SalesforceSession, entity: Entity) -> list[SourceField]:
        """Fields a sync reads for an entity, those of all its streams, each name once."""
        found: dict[str, SourceField] = {}
        for stream in self.streams:
            if entity not in stream.entities:
                continue
            for field in selected_fields(stream.name, session.describe(OBJECTS[stream.name])):
                is_required = not field.nillable and not field.defaultedOnCreate
                offered = SourceField(
                    field.name, field.label or field.name, field.type, is_required, field.custom, field.is_unstamped
                )
                found.setdefault(field.name, offered)
        return list(found.values())

    def shown_fields(self, session: SalesforceSession, stream: Stream) -> dict[str, bool]:
        """What a read of the stream selects, asked once a session; True for what no stamp tells of."""
        described = session.describe(OBJECTS[stream.name])
        return {field.name: field.is_unstamped for field in selected_fields(stream.name, described)}

    def recalculated(
        self, session: SalesforceSession, stream: Stream, names: Sequence[str], start: ReadFrom, differing: Differing
    ) -> Iterator[Page]:
        """Live records by id, their `names` only; those that differ are read whole."""
        return read_recalculated(session, stream.name, names, start, differing)

    def default_mappings(self) -> Mapping[Entity, Sequence[MappingEntry]]:
        """The documented account mapping, and ours for the three entities nobody documents."""
        return DEFAULT_MAPPINGS
