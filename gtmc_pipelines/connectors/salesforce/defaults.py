"""Default mappings of Salesforce: the documented one for accounts, and ours where nothing is documented.

Accounts follow reference/domain.md section 4.1, except that `domain(value)` strips scheme, `www.` and
path as well as lowering case. Activities speak the scorer's words (section 11) and stay lean: never the
subject or the description of a task or an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.model.entities import Entity

_NONE, _TRIM = Transform.NONE, Transform.TRIM


def _entry(
    source: str, target: str, transform: Transform = _NONE, *, required: bool = False, stream: str | None = None
) -> MappingEntry:
    return MappingEntry(source, target, transform, None, required, stream)


def _custom(
    source: str, target: str, expression: str, *, required: bool = False, stream: str | None = None
) -> MappingEntry:
    return MappingEntry(source, target, Transform.CUSTOM, expression, required, stream)


_ACCOUNT = (
    _entry("Name", "name", _TRIM, required=True),
    _custom("Website", "domain", "domain(value)"),
    _entry("Industry", "industry"),
    _entry("NumberOfEmployees", "employeeCount"),
    _entry("AnnualRevenue", "annualRevenue"),
)

_PERSON = (
    _entry("FirstName", "firstName", _TRIM),
    _entry("LastName", "lastName", _TRIM, required=True),
    _custom("Email", "email", "email(value)"),
    _entry("Title", "title", _TRIM),
    _entry("Phone", "phone", _TRIM),
    _entry("AccountId", "accountExternalId", stream="contacts"),
    _entry("ConvertedAccountId", "accountExternalId", stream="leads"),
    _entry("Company", "companyName", _TRIM, stream="leads"),
)

_OPPORTUNITY = (
    _entry("Name", "name", _TRIM, required=True),
    _entry("StageName", "stage", required=True),
    _entry("Amount", "amount"),
    _entry("CurrencyIsoCode", "currency"),
    _entry("CloseDate", "closeDate"),
    _entry("Probability", "probability"),
    _entry("IsClosed", "isClosed"),
    _entry("IsWon", "isWon"),
    _entry("AccountId", "accountExternalId"),
    _entry("OwnerId", "ownerExternalId"),
)

_TASK_TYPE = "value == 'Email' ? 'email_sent' : (value == 'Call' ? 'call' : 'task')"
_TASK_CHANNEL = "value == 'Email' ? 'email' : (value == 'Call' ? 'phone' : 'other')"
_TASK_DETAILS = (
    "{'status': record.Status, 'priority': record.Priority, 'subtype': record.TaskSubtype,"
    " 'is_closed': record.IsClosed, 'call_seconds': record.CallDurationInSeconds,"
    " 'call_type': record.CallType, 'about_id': record.WhatId}"
)
_EVENT_DETAILS = (
    "{'subtype': record.EventSubtype, 'minutes': record.DurationInMinutes,"
    " 'is_all_day': record.IsAllDayEvent, 'is_group': record.IsGroupEvent, 'about_id': record.WhatId}"
)

_ACTIVITY = (
    _custom("TaskSubtype", "type", _TASK_TYPE, required=True, stream="tasks"),
    _custom("TaskSubtype", "channel", _TASK_CHANNEL, required=True, stream="tasks"),
    _custom("ActivityDate", "occurredAt", "coalesce(value, record.CreatedDate)", required=True, stream="tasks"),
    _entry("WhoId", "personExternalId", stream="tasks"),
    _entry("AccountId", "accountExternalId", stream="tasks"),
    _custom("Status", "properties", _TASK_DETAILS, stream="tasks"),
    _custom("EventSubtype", "type", "'meeting_attend'", required=True, stream="events"),
    _custom("EventSubtype", "channel", "'meetings'", required=True, stream="events"),
    _custom(
        "StartDateTime",
        "occurredAt",
        "coalesce(value, record.ActivityDateTime, record.ActivityDate, record.CreatedDate)",
        required=True,
        stream="events",
    ),
    _entry("WhoId", "personExternalId", stream="events"),
    _entry("AccountId", "accountExternalId", stream="events"),
    _custom("EventSubtype", "properties", _EVENT_DETAILS, stream="events"),
)

DEFAULT_MAPPINGS: Mapping[Entity, Sequence[MappingEntry]] = {
    Entity.ACCOUNT: _ACCOUNT,
    Entity.PERSON: _PERSON,
    Entity.OPPORTUNITY: _OPPORTUNITY,
    Entity.ACTIVITY: _ACTIVITY,
}
