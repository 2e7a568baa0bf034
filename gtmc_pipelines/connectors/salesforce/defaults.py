"""Default mappings of Salesforce: the documented one for accounts, and ours where nothing is documented.

Accounts follow reference/domain.md section 4.1, except that `domain(value)` strips scheme, `www.` and
path as well as lowering case. Activities speak the scorer's words (section 11) and stay lean: never the
subject or the description of a task or an event.

One real thing is one row: a person account is its contact and no company, a converted lead says what it has become,
and only the organizer's row of a meeting is the meeting. What is open has not happened. What is done is dated by its
completion, which Salesforce has kept since 2018; older tasks, by their last change, which is never before it.
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
    _entry("IsPersonAccount", "skip"),
)

_PERSON = (
    _entry("FirstName", "firstName", _TRIM),
    _entry("LastName", "lastName", _TRIM, required=True),
    _custom("Email", "email", "email(value)"),
    _entry("Title", "title", _TRIM),
    _entry("Phone", "phone", _TRIM),
    _entry("AccountId", "accountExternalId", stream="contacts"),
    _custom("ConvertedContactId", "convertedTo", "record.IsConverted == true ? value : null", stream="leads"),
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

_TASK_TYPE = "value in ['Email', 'ListEmail'] ? 'email_sent' : (value == 'Call' ? 'call' : 'task')"
_TASK_CHANNEL = "value in ['Email', 'ListEmail'] ? 'email' : (value == 'Call' ? 'phone' : 'other')"
# What is open has not been done; a series is a pattern, of which each occurrence is a row of its own.
_TASK_IS_NONE = "value == false || (value == null && record.Status != 'Completed') || record.IsRecurrence == true"
_TASK_DONE_AT = "coalesce(value, record.LastModifiedDate, record.CreatedDate)"
# A colleague's copy, a series' pattern, and times only proposed (2) or a pattern (3): the meeting is another row.
_EVENT_IS_NONE = "value == true || record.IsRecurrence == true || record.GroupEventType in ['2', '3']"
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
    _custom("CompletedDateTime", "occurredAt", _TASK_DONE_AT, required=True, stream="tasks"),
    _custom("IsClosed", "skip", _TASK_IS_NONE, stream="tasks"),
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
    _custom("IsChild", "skip", _EVENT_IS_NONE, stream="events"),
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
