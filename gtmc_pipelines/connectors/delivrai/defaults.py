"""Default mappings of Delivr.ai: signals field by field, the activity the scorer counts, and companies by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.records import SourceField

_NONE, _TRIM = Transform.NONE, Transform.TRIM


def _entry(source: str, target: str, transform: Transform = _NONE, *, required: bool = False) -> MappingEntry:
    return MappingEntry(source, target, transform, None, required)


def _custom(source: str, target: str, expression: str, *, required: bool = False) -> MappingEntry:
    return MappingEntry(source, target, Transform.CUSTOM, expression, required)


_INTENT_SIGNAL = (
    _entry("personId", "personId"),
    _custom("personEmail", "personEmail", "email(value)"),
    _custom("accountDomain", "accountDomain", "domain(value)"),
    _entry("contentUrl", "contentUrl"),
    _entry("contentTopic", "contentTopic", _TRIM),
    _entry("occurredAt", "occurredAt", required=True),
    _entry("dwellTimeSeconds", "dwellTimeSeconds"),
    _entry("sessionId", "sessionId"),
)

_DETAILS = (
    "{'contentTopic': record.contentTopic, 'contentUrl': record.contentUrl,"
    " 'dwellTimeSeconds': record.dwellTimeSeconds, 'accountDomain': record.accountDomain}"
)

_ACTIVITY = (
    _custom("id", "type", "'intent_signal'", required=True),
    _custom("id", "channel", "'intent'", required=True),
    _entry("occurredAt", "occurredAt", required=True),
    _custom("personEmail", "personExternalId", "coalesce(email(value), record.personId)"),
    _custom("accountDomain", "accountExternalId", "domain(value)"),
    _custom("contentTopic", "properties", _DETAILS),
)

_ACCOUNT = (
    _custom("name", "name", "trim(coalesce(value, record.domain))", required=True),
    _custom("domain", "domain", "domain(value)"),
    _entry("industry", "industry", _TRIM),
    _entry("employeeCount", "employeeCount"),
    _entry("annualRevenue", "annualRevenue"),
)

DEFAULT_MAPPINGS: Mapping[Entity, Sequence[MappingEntry]] = {
    Entity.INTENT_SIGNAL: _INTENT_SIGNAL,
    Entity.ACTIVITY: _ACTIVITY,
    Entity.ACCOUNT: _ACCOUNT,
}

_SIGNAL_FIELDS = (
    SourceField("id", "Signal id", "string", is_required=True),
    SourceField("personId", "Person id", "string"),
    SourceField("personEmail", "Person e-mail", "string"),
    SourceField("accountDomain", "Company domain", "string"),
    SourceField("contentUrl", "Page", "string"),
    SourceField("contentTopic", "Topic", "string"),
    SourceField("occurredAt", "Read at", "datetime", is_required=True),
    SourceField("dwellTimeSeconds", "Dwell time in seconds", "number"),
    SourceField("sessionId", "Session id", "string"),
)

SOURCE_FIELDS: Mapping[Entity, Sequence[SourceField]] = {
    Entity.INTENT_SIGNAL: _SIGNAL_FIELDS,
    Entity.ACTIVITY: _SIGNAL_FIELDS,
    Entity.ACCOUNT: (
        SourceField("domain", "Domain", "string", is_required=True),
        SourceField("name", "Name", "string"),
        SourceField("industry", "Industry", "string"),
        SourceField("employeeCount", "Employees", "integer"),
        SourceField("annualRevenue", "Annual revenue", "number"),
        SourceField("updatedAt", "Updated", "datetime"),
    ),
}
