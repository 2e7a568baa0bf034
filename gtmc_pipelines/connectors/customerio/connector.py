"""The Customer.io connector: the contract, answered by this folder's other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource
from gtmc_pipelines.connectors.customerio.api import CustomerioSession
from gtmc_pipelines.connectors.customerio.auth import in_region, refusal_of, wrong_region
from gtmc_pipelines.connectors.customerio.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.connectors.customerio.email_events import COUNT, LEAVE_OUT
from gtmc_pipelines.connectors.customerio.hosts import PROBE_PATHS, other_region, probe_url, region_of
from gtmc_pipelines.connectors.customerio.people import census, read_people, still_there
from gtmc_pipelines.connectors.customerio.streams import read_stream
from gtmc_pipelines.connectors.http import utc_now
from gtmc_pipelines.connectors.options import Option, https_url, matching, whole_number
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import GtmcError, Reauthorize
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Census, Found, Health, Page, ReadFrom, Slice, SourceField, Unseen

OPTIONS = (
    Option(
        "region", "Region of the workspace, us or eu; found out when the key is entered", matching("us|eu", "us or eu")
    ),
    Option("base_url", "Root of the App API, /v1 included, in place of the region's", https_url),
    Option(
        "profile",
        "Probe of the vendor or of the product's documentation",
        matching("|".join(PROBE_PATHS), "vendor or product-docs"),
    ),
    Option("probe_url", "Address that proves a key, in place of the profile's", https_url),
    Option("page_records", "Records a page (the vendor's ceilings: 1,000, activities 100)", whole_number(1, 50_000)),
    Option("requests_per_second", "Requests a second the workspace is allowed", whole_number(1, 1_000)),
    Option("history_days", "How far back the first read of email events goes", whole_number(1, 3_650)),
    Option(
        "lookback_days", "Days of email events read again each time, for metrics that fill in", whole_number(1, 180)
    ),
    Option("activity_overlap_minutes", "Minutes of activities read again each time", whole_number(0, 43_200)),
    Option(
        "machine_opens",
        "Opens and clicks only a machine made: leave_out or count",
        matching(f"{LEAVE_OUT}|{COUNT}", "leave_out or count"),
    ),
)

_ACTIVITY_FIELDS = {
    "id": "string",
    "type": "string",
    "customer_id": "string",
    "customer_identifiers.cio_id": "string",
    "customer_identifiers.id": "string",
    "customer_identifiers.email": "email",
    "metric": "string",
    "occurred_at": "unix seconds",
    "campaign_id": "int",
    "newsletter_id": "int",
    "broadcast_id": "int",
    "action_id": "int",
    "message_template_id": "int",
    "event_name": "string",
    "timestamp": "unix seconds",
    "data": "object",
    "delivery_id": "string",
}


class _Person(msgspec.Struct):
    attributes: dict[str, msgspec.Raw] = {}


class CustomerioConnector:
    """People, email events and behavioral events of one workspace."""

    type = ConnectorType.CUSTOMERIO
    streams = STREAMS[ConnectorType.CUSTOMERIO]

    def authenticate(self, credentials: CredentialSource, settings: ConnectorSettings) -> CustomerioSession:
        """A session from the stored key; no call is made."""
        return CustomerioSession(credentials, settings)

    def health_check(self, session: CustomerioSession) -> Health:
        """Asks for the workspace; a refused key is tried in the other region, to say what is wrong."""
        url = probe_url(session.settings)
        try:
            accounts = session.probe()
        except Reauthorize as refusal:
            return Health(False, url, str(_explained(session, refusal)))
        except GtmcError as error:
            return Health(False, url, str(error))
        facts = {"region": region_of(session.settings)}
        return Health(True, url, "Customer.io answers and accepts the key.", facts, accounts)

    def slices(self, session: CustomerioSession, stream: Stream) -> Sequence[Slice]:
        """One unnamed slice: no stream of Customer.io is sliced."""
        return (Slice(""),)

    def read(self, session: CustomerioSession, stream: Stream, start: ReadFrom) -> Iterator[Page]:
        """Pages of people, email events or activities."""
        return read_stream(session, stream.name, start)

    def still_there(
        self, session: CustomerioSession, stream: Stream, part: str, unseen: Sequence[Unseen]
    ) -> Iterator[Found]:
        """People by id; the logs are never asked for, as nothing of them is swept."""
        return still_there(session, unseen) if stream.name == "people" else iter(())

    def has_slice(self, session: CustomerioSession, stream: Stream, key: str) -> bool:
        """The one slice always exists."""
        return True

    def census(self, session: CustomerioSession, stream: Stream, until: datetime, turn: int) -> Iterator[Census]:
        """Everybody's ids; the logs have no count and no range that could be asked for cheaply."""
        return census(session, until) if stream.name == "people" else iter(())

    def describe_fields(self, session: CustomerioSession, entity: Entity) -> list[SourceField]:
        """Fields of a person as far as the first page of people shows them, or those of the two logs."""
        if entity is Entity.ACTIVITY:
            return [SourceField(name, name, kind) for name, kind in _ACTIVITY_FIELDS.items()]
        if entity is not Entity.PERSON:
            return []
        first = next(read_people(session, ReadFrom(SyncMode.FULL, utc_now())))
        names = dict.fromkeys(
            name for record in first.records for name in msgspec.json.decode(record.payload, type=_Person).attributes
        )
        known = ("id", "identifiers.cio_id", "identifiers.id", "identifiers.email", "unsubscribed")
        fields = [SourceField(name, name, "string") for name in known]
        return fields + [SourceField(f"attributes.{name}", name, "string", is_custom=True) for name in names]

    def default_mappings(self) -> Mapping[Entity, Sequence[MappingEntry]]:
        """Person and activity."""
        return DEFAULT_MAPPINGS


def _explained(session: CustomerioSession, refusal: Reauthorize) -> GtmcError:
    """The refusal, or that the key belongs to the other region. Trouble on the way there leaves the refusal."""
    settings = session.settings
    is_region_set = not (settings.options.get("base_url") or settings.options.get("probe_url"))
    if refusal.code != "key_refused" or not is_region_set:
        return refusal
    there = in_region(settings, other_region(region_of(settings)))
    try:
        return refusal if refusal_of(session.credentials, there) else wrong_region(settings, there)
    except GtmcError:
        return refusal
