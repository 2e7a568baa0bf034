"""The imitated org's tasks and events: what was done with whom about what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gtmc_pipelines.sandbox.names import REMARKS
from gtmc_pipelines.sandbox.salesforce.objects_system import owner_field, system_fields
from gtmc_pipelines.sandbox.salesforce.shape import Field, Maker, ObjectShape, constant, pick, sometimes
from gtmc_pipelines.sandbox.salesforce.stamps import day_text

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.batch import Batch

TASK_STATUS = ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred")
SUBJECTS = ("Call", "Email: follow-up", "Send letter", "Demo 🎉", 'Ask about "Gold"', None, "Négociation")
SUBTYPES = ("Call", "Email", "Task", "ListEmail")
MEETING_ROWS = 16
INVITED = 3
"""The first of so many events has so many invited colleagues, each of whom has a row of their own: the next ones."""

PLANNED_EVERY = 29
_PLANNED_MS = 10 * 365 * 86_400_000


def is_child(index: int) -> bool:
    """Whether an event is an invited colleague's copy."""
    return 1 <= index % MEETING_ROWS <= INVITED


def _as_organized(make: Maker) -> Maker:
    """A field that the copies of a meeting have in common with the organizer's row."""

    def made(batch: Batch) -> list[Any]:
        organized = [index - index % MEETING_ROWS if is_child(index) else index for index in batch.indices]
        return make(type(batch)(batch.table, organized))

    return made


def _references(choices: tuple[tuple[str, int], ...], shift: int) -> Maker:
    """Ids of live records of the objects, each taken in `weight` of 16 cases, else null."""

    def make(batch: Batch) -> list[Any]:
        ladder = [object_name for object_name, weight in choices for _ in range(weight)]
        ids: list[str | None] = []
        for dice in batch.dice:
            place = (dice >> shift) & 15
            table = batch.org.tables[ladder[place]] if place < len(ladder) else None
            ids.append(table.codec.one(table.nth_live((dice >> 8) % table.live)) if table and table.live else None)
        return ids

    return make


def _days(batch: Batch) -> list[Any]:
    return [day_text(moment // 86_400_000) for moment in batch.column("CreatedDate")]


def _starts(batch: Batch) -> list[Any]:
    rows = zip(batch.indices, batch.column("CreatedDate"), strict=True)
    return [
        moment // 1_800_000 * 1_800_000 + (_PLANNED_MS if index % PLANNED_EVERY == PLANNED_EVERY - 1 else 0)
        for index, moment in rows
    ]


def _event_days(batch: Batch) -> list[Any]:
    return [None if start is None else day_text(start // 86_400_000) for start in batch.column("StartDateTime")]


def _completed(batch: Batch) -> list[Any]:
    """Somewhere between creation and the last change."""
    rows = zip(batch.column("IsClosed"), batch.column("CreatedDate"), batch.column("LastModifiedDate"), strict=True)
    return [(made + changed) // 2_000 * 1_000 if is_closed else None for is_closed, made, changed in rows]


def _group_types(batch: Batch) -> list[Any]:
    return ["1" if index % MEETING_ROWS <= INVITED else "0" for index in batch.indices]


def _ends(batch: Batch) -> list[Any]:
    rows = zip(batch.column("StartDateTime"), batch.column("DurationInMinutes"), strict=True)
    return [None if start is None else start + (minutes or 0) * 60_000 for start, minutes in rows]


def _call_seconds(batch: Batch) -> list[Any]:
    rows = zip(batch.column("TaskSubtype"), batch.dice, strict=True)
    return [(dice >> 16) % 3600 if subtype == "Call" else None for subtype, dice in rows]


def _common(shared: Callable[[Maker], Maker] = lambda make: make) -> tuple[Field, ...]:
    return (
        Field(
            "WhoId",
            "reference",
            shared(_references((("Contact", 9), ("Lead", 5)), 4)),
            refers_to=("Contact", "Lead"),
            relationship="Who",
        ),
        Field(
            "WhatId",
            "reference",
            shared(_references((("Opportunity", 6), ("Account", 6)), 40)),
            refers_to=("Account", "Opportunity"),
            relationship="What",
        ),
        Field("Subject", "string", shared(pick(SUBJECTS, 10)), length=255, name_field=True),
        Field("Description", "textarea", pick(REMARKS, 23), length=32000),
        Field("AccountId", "reference", constant(None), refers_to=("Account",), relationship="Account"),
        owner_field(),
        Field("IsArchived", "boolean", constant(False), nillable=False),
        Field("ReminderDateTime", "datetime", constant(None)),
        Field("IsReminderSet", "boolean", constant(False), nillable=False),
    )


TASK = ObjectShape(
    "Task",
    "Task",
    "Tasks",
    "00T",
    (
        *system_fields(),
        *_common(),
        Field("ActivityDate", "date", sometimes(_days, 13, 1), label="Due Date Only"),
        Field("Status", "picklist", pick(TASK_STATUS, 6), nillable=False, length=40, picklist=TASK_STATUS),
        Field(
            "Priority", "picklist", pick(("Normal", "High", "Low"), 15), False, 40, picklist=("High", "Normal", "Low")
        ),
        Field("IsHighPriority", "boolean", lambda batch: [one == "High" for one in batch.column("Priority")], False),
        Field("IsClosed", "boolean", lambda batch: [one == "Completed" for one in batch.column("Status")], False),
        Field("TaskSubtype", "picklist", pick(SUBTYPES, 30), length=40, picklist=SUBTYPES),
        Field("CallDurationInSeconds", "int", _call_seconds),
        Field("CallType", "picklist", pick((None, "Inbound", "Outbound"), 33), length=40),
        Field("CallDisposition", "string", constant(None), length=255),
        Field("CompletedDateTime", "datetime", _completed),
        Field("IsRecurrence", "boolean", constant(False), nillable=False),
        Field("RecurrenceActivityId", "reference", constant(None), refers_to=("Task",)),
    ),
    default_live=1800,
    size="tasks",
    touch=("Status", TASK_STATUS),
)

EVENT = ObjectShape(
    "Event",
    "Event",
    "Events",
    "00U",
    (
        *system_fields(),
        *_common(_as_organized),
        Field("Location", "string", pick((None, "Room 1", "https://meet.example/a+b", "Café Größe"), 15), length=255),
        Field("IsAllDayEvent", "boolean", lambda batch: [dice % 13 == 0 for dice in batch.dice], False),
        Field("ActivityDateTime", "datetime", lambda batch: batch.column("StartDateTime")),
        Field("ActivityDate", "date", _event_days),
        Field("DurationInMinutes", "int", _as_organized(pick((15, 30, 45, 60, 90), 18))),
        Field("StartDateTime", "datetime", _as_organized(_starts)),
        Field("EndDateTime", "datetime", _ends),
        Field("IsPrivate", "boolean", constant(False), nillable=False),
        Field("ShowAs", "picklist", pick(("Busy", "Free", "OutOfOffice"), 25), length=40),
        Field("IsChild", "boolean", lambda batch: [is_child(index) for index in batch.indices], nillable=False),
        Field("IsGroupEvent", "boolean", lambda batch: [one == "1" for one in batch.column("GroupEventType")], False),
        Field("GroupEventType", "picklist", _group_types, length=40, picklist=("0", "1", "2", "3")),
        Field("IsRecurrence", "boolean", constant(False), nillable=False),
        Field("RecurrenceActivityId", "reference", constant(None), refers_to=("Event",)),
        Field("EventSubtype", "picklist", constant("Event"), length=40),
    ),
    default_live=1200,
    size="events",
    touch=("Location", ("Room 2", "Room 3 + hall", "Online")),
)
