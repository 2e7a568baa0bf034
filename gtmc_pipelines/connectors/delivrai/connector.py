"""The Delivr.ai connector: the contract, answered by this folder's other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource
from gtmc_pipelines.connectors.delivrai.api import DelivraiSession, organizations_in
from gtmc_pipelines.connectors.delivrai.defaults import DEFAULT_MAPPINGS, SOURCE_FIELDS
from gtmc_pipelines.connectors.delivrai.dialect import OPTIONS
from gtmc_pipelines.connectors.delivrai.streams import census, check_choices, read_stream, still_there
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.model.records import Census, Found, Health, Page, ReadFrom, Slice, SourceField, Unseen

__all__ = ["LOGIN", "OPTIONS", "DelivraiConnector"]

LOGIN = KeyLogin(secrets=("api_key",), optional=("api_secret",))
"""A key; the public API wants its secret too."""


class DelivraiConnector:
    """Intent signals and company enrichment of one tenant's key."""

    type = ConnectorType.DELIVRAI
    streams = STREAMS[ConnectorType.DELIVRAI]

    def authenticate(self, credentials: CredentialSource, settings: ConnectorSettings) -> DelivraiSession:
        """A session from the stored key; no call is made."""
        return DelivraiSession(credentials, settings)

    def health_check(self, session: DelivraiSession) -> Health:
        """Asks the health path of the contract in use, and whether the public API knows what to read."""
        try:
            accounts = organizations_in(session.probe())
            check_choices(session)
        except GtmcError as error:
            return Health(False, session.health_url, str(error))
        facts = {"profile": session.dialect.profile}
        return Health(True, session.health_url, "Delivr.ai answers and accepts the key.", facts, accounts)

    def slices(self, session: DelivraiSession, stream: Stream) -> Sequence[Slice]:
        """One unnamed slice: no stream of Delivr.ai is sliced."""
        return (Slice(""),)

    def read(self, session: DelivraiSession, stream: Stream, start: ReadFrom) -> Iterator[Page]:
        """Pages by cursor, or by windows of time where the contract has them."""
        return read_stream(session, stream.name, start)

    def still_there(
        self, session: DelivraiSession, stream: Stream, part: str, unseen: Sequence[Unseen]
    ) -> Iterator[Found]:
        """Companies that another walk shows; signals are never swept."""
        return still_there(session, unseen)

    def has_slice(self, session: DelivraiSession, stream: Stream, key: str) -> bool:
        """The one slice always exists."""
        return True

    def census(self, session: DelivraiSession, stream: Stream, until: datetime, turn: int) -> Iterator[Census]:
        """Domains of companies, and some signals."""
        return census(session, stream.name, until)

    def describe_fields(self, session: DelivraiSession, entity: Entity) -> list[SourceField]:
        """The fields of the contract: Delivr.ai describes none itself."""
        return list(SOURCE_FIELDS.get(entity, ()))

    def default_mappings(self) -> Mapping[Entity, Sequence[MappingEntry]]:
        """The mappings of this folder's README."""
        return DEFAULT_MAPPINGS
