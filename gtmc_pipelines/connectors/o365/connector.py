"""The Office 365 connector: the contract, answered by this folder's other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource
from gtmc_pipelines.connectors.o365.absence import census, has_mailbox, still_there
from gtmc_pipelines.connectors.o365.api import O365Session
from gtmc_pipelines.connectors.o365.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.connectors.o365.errors import GraphRefusal
from gtmc_pipelines.connectors.o365.streams import read_mailbox
from gtmc_pipelines.connectors.options import Option, https_url, matching, whole_number
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.model.records import Census, Found, Health, Page, ReadFrom, Slice, SourceField, Unseen

_Answer = TypeVar("_Answer")

_FOLDERS = matching(r"[A-Za-z0-9_=-]{1,200}(,[A-Za-z0-9_=-]{1,200}){0,9}", "up to ten folder names or ids, with commas")

OPTIONS = (
    Option("login_url", "Login host of the cloud (login.microsoftonline.com, .us, …)", https_url),
    Option("graph_url", "Graph with its version (https://graph.microsoft.com/v1.0)", https_url),
    Option("folders", "Mail folders to read: inbox,sentitems", _FOLDERS),
    Option("lookback_days", "How far back the first read of a mailbox goes", whole_number(1, 365)),
    Option("mail_page_size", "Messages a page", whole_number(1, 1_000)),
    Option("mailbox_requests", "Requests a mailbox gets in any mailbox_seconds", whole_number(1, 10_000)),
    Option("mailbox_seconds", "The seconds of that limit", whole_number(1, 600)),
    Option("round_cap", "Messages after which a filtered delta round counts as cut", whole_number(1, 5_000)),
    Option("include_disabled_accounts", "1: shared mailboxes and disabled users too", whole_number(0, 1)),
)

_ACCESS = {
    "tenant-wide": "every mailbox of the directory (Mail.ReadBasic.All is granted).",
    "scoped": "only mailboxes in the scope of a role in Exchange; the others are left out of every sync.",
    "unknown": "the token doesn't say which mailboxes.",
}
"""The two ways an app may read mail, by the roles in its token."""

_FIELDS = (
    ("direction", "inbound or outbound", "string", True),
    ("occurredAt", "When it was sent", "datetime", True),
    ("conversationId", "Conversation", "string", False),
    ("contact", "The allowed external participant", "email", True),
    ("sender", "Sender, when allowed and external", "email", False),
    ("to", "Allowed external recipients", "array", False),
    ("cc", "Allowed external copy recipients", "array", False),
    ("participantCount", "Participants of the message in all", "int", False),
    ("omittedParticipants", "Participants that were left out", "int", False),
)


class O365Connector:
    """E-mail metadata of a directory's mailboxes: only what the tenant's allowlist permits."""

    type = ConnectorType.O365
    streams = STREAMS[ConnectorType.O365]

    def authenticate(self, credentials: CredentialSource, settings: ConnectorSettings) -> O365Session:
        """A session of the directory that consented; no call is made."""
        return O365Session(credentials, settings)

    def health_check(self, session: O365Session) -> Health:
        """Asks for one user's id: proves secret, consent and directory permission, and reads no mail."""
        url = f"{session.base_url}/users?$top=1&$select=id"
        shown = f"{session.base_url}/users"
        try:
            session.get(url)
        except GraphRefusal as refusal:
            return Health(False, shown, str(refusal.fault))
        except GtmcError as error:
            return Health(False, shown, str(error))
        access = session.mail_access
        told = f"Microsoft Graph answers and accepts the app. Mail access: {_ACCESS[access]}"
        return Health(True, shown, told, {"mail_access": access})

    def slices(self, session: O365Session, stream: Stream) -> Sequence[Slice]:
        """A slice per mailbox, by the user's object id. None, and no call, while nothing may be kept."""
        if session.policy.keeps_nothing:
            return ()
        try:
            return [Slice(mailbox.id) for mailbox in session.mailboxes()]
        except GraphRefusal as refusal:
            raise refusal.fault from None

    def read(self, session: O365Session, stream: Stream, start: ReadFrom) -> Iterator[Page]:
        """Pages of one mailbox, by delta rounds of its folders."""
        return read_mailbox(session, start)

    def still_there(self, session: O365Session, stream: Stream, part: str, unseen: Sequence[Unseen]) -> Iterator[Found]:
        """Messages that are anywhere in the mailbox."""
        return _told(still_there(session, part, unseen))

    def has_slice(self, session: O365Session, stream: Stream, key: str) -> bool:
        """Whether the user is still in the directory."""
        return has_mailbox(session, key)

    def census(self, session: O365Session, stream: Stream, until: datetime, turn: int) -> Iterator[Census]:
        """One mailbox a day."""
        return _told(census(session, until, turn))

    def describe_fields(self, session: O365Session, entity: Entity) -> list[SourceField]:
        """The fields that are kept of a message: always the same, whatever the vendor has."""
        if entity is not Entity.ACTIVITY:
            return []
        return [SourceField(name, label, kind, is_required) for name, label, kind, is_required in _FIELDS]

    def default_mappings(self) -> Mapping[Entity, Sequence[MappingEntry]]:
        """One activity per message."""
        return DEFAULT_MAPPINGS


def _told(answers: Iterator[_Answer]) -> Iterator[_Answer]:
    """The answers; a refusal on the way becomes the fault it is by default."""
    try:
        yield from answers
    except GraphRefusal as refusal:
        raise refusal.fault from None
