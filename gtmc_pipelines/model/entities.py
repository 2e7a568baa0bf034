"""Canonical entities: their tables, target fields, columns and types (design section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Entity(StrEnum):
    """What a source record becomes. The first four are mapped by the user; the last two are fixed."""

    ACCOUNT = "account"
    PERSON = "person"
    OPPORTUNITY = "opportunity"
    ACTIVITY = "activity"
    INTENT_SIGNAL = "intent_signal"
    MEETING = "meeting"


MAPPABLE = (Entity.ACCOUNT, Entity.PERSON, Entity.OPPORTUNITY, Entity.ACTIVITY)
"""What users map; the other entities are fixed."""


class Kind(StrEnum):
    """Column types a value is coerced to; the text of each is what PostgreSQL calls it."""

    TEXT = "text"
    INTEGER = "integer"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamptz"
    DATE = "date"
    JSON = "jsonb"


@dataclass(frozen=True, slots=True)
class Field:
    """One target of a mapping: `target` as mappings write it, `column` as the table has it."""

    target: str
    column: str
    kind: Kind
    description: str
    is_required: bool = False  # not null in the table: a record without it is rejected


SKIP = Field("skip", "skip", Kind.BOOLEAN, "True: the record is left out; it stays in the raw extract only")
"""The one target of every entity that is no column."""


@dataclass(frozen=True, slots=True)
class EntitySpec:
    """A canonical table and the fields a mapping may fill."""

    entity: Entity
    table: str
    fields: tuple[Field, ...]

    def field(self, target: str) -> Field | None:
        """The field with this target name, or None."""
        return next((f for f in self.fields if f.target == target), None)

    def target(self, name: str) -> Field | None:
        """What a mapping may fill under this name: a field, or `skip`."""
        return SKIP if name == SKIP.target else self.field(name)


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name)


def _field(target: str, kind: Kind, description: str, required: bool = False) -> Field:
    return Field(target, _snake(target), kind, description, required)


_T, _N, _I, _B = Kind.TEXT, Kind.NUMERIC, Kind.INTEGER, Kind.BOOLEAN
_ACCOUNT_LINK = _field("accountExternalId", _T, "Id of the account in the same source")
_SOURCE_DATA = _field("sourceData", Kind.JSON, "Custom fields kept beside the canonical ones")

ENTITIES: dict[Entity, EntitySpec] = {
    spec.entity: spec
    for spec in (
        EntitySpec(
            Entity.ACCOUNT,
            "accounts",
            (
                _field("name", _T, "Company name", required=True),
                _field("domain", _T, "Company domain, lower case, without scheme or path"),
                _field("industry", _T, "Industry as the source names it"),
                _field("employeeCount", _I, "Number of employees"),
                _field("annualRevenue", _N, "Annual revenue in the source's currency"),
                _SOURCE_DATA,
            ),
        ),
        EntitySpec(
            Entity.PERSON,
            "people",
            (
                _field("firstName", _T, "Given name"),
                _field("lastName", _T, "Family name"),
                _field("email", _T, "E-mail address, lower case"),
                _field("title", _T, "Job title"),
                _field("phone", _T, "Phone number as the source has it"),
                _ACCOUNT_LINK,
                _field("companyName", _T, "Company as a lead states it, when there is no account"),
                _field("convertedTo", _T, "Id in the same source of the person this one has become (converted lead)"),
                _SOURCE_DATA,
            ),
        ),
        EntitySpec(
            Entity.OPPORTUNITY,
            "opportunities",
            (
                _field("name", _T, "Opportunity name", required=True),
                _field("stage", _T, "Stage as the source names it", required=True),
                _field("amount", _N, "Amount, exact decimal"),
                _field("currency", _T, "ISO currency code, when the org has several"),
                _field("closeDate", Kind.DATE, "Expected or actual close date"),
                _field("probability", _N, "Probability in percent"),
                _field("isClosed", _B, "Closed, won or lost"),
                _field("isWon", _B, "Closed and won"),
                _ACCOUNT_LINK,
                _field("ownerExternalId", _T, "Id of the owner in the source"),
                _SOURCE_DATA,
            ),
        ),
        EntitySpec(
            Entity.ACTIVITY,
            "activities",
            (
                _field("type", _T, "Activity type as the scorer knows it", required=True),
                _field("channel", _T, "Channel as the scorer knows it", required=True),
                _field("occurredAt", Kind.TIMESTAMP, "True event time in UTC, never load time", required=True),
                _field("personExternalId", _T, "Id (or e-mail) of the person"),
                _ACCOUNT_LINK,
                _field("properties", Kind.JSON, "Lean details of the activity"),
            ),
        ),
        EntitySpec(
            Entity.INTENT_SIGNAL,
            "intent_signals",
            (
                _field("personId", _T, "Vendor's person id"),
                _field("personEmail", _T, "E-mail address, lower case, when known"),
                _field("accountDomain", _T, "Company domain, lower case"),
                _field("contentUrl", _T, "Page that was read"),
                _field("contentTopic", _T, "Topic of that page"),
                _field("occurredAt", Kind.TIMESTAMP, "When it was read", required=True),
                _field("dwellTimeSeconds", _N, "How long, in seconds"),
                _field("sessionId", _T, "Vendor's session id"),
            ),
        ),
        EntitySpec(
            Entity.MEETING,
            "fathom_meetings",
            (
                _field("fathomMeetingId", _T, "Recording id", required=True),
                _field("title", _T, "Meeting title"),
                _field("occurredAt", Kind.TIMESTAMP, "Start of the recording", required=True),
                _field("durationSeconds", _I, "Length of the recording"),
                _field("recordedByEmail", _T, "Who recorded it"),
                _field("participants", Kind.JSON, "Invitees: name, email, is_external"),
                _field("participantCount", _I, "Number of invitees"),
                _field("transcript", _T, "Transcript as plain text, one utterance a line"),
                _field("summary", _T, "Vendor's summary, Markdown"),
                _field("sentimentScore", _N, "Compound score from -1 to 1"),
                _field("sentiment", Kind.JSON, "Method, version, score per speaker"),
            ),
        ),
    )
}
