"""What canonical rows must be, worked out from Salesforce's own records, independently of our mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

Record = Mapping[str, Any]


def expected(records: Callable[[str], Iterable[Record]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Accounts, people (contacts and leads), opportunities and activities (tasks and events) of one org."""
    return {
        "accounts": {record["Id"]: _account(record) for record in records("Account") if not record["IsPersonAccount"]},
        "people": {
            **{record["Id"]: _person(record) for record in records("Contact")},
            **{record["Id"]: _person(record) for record in records("Lead")},
        },
        "opportunities": {record["Id"]: _opportunity(record) for record in records("Opportunity")},
        "activities": {
            **{record["Id"]: _task(record) for record in records("Task") if record["IsClosed"]},
            **{record["Id"]: _event(record) for record in records("Event") if _took_place(record)},
        },
    }


def _account(record: Record) -> dict[str, Any]:
    return {
        "name": _trimmed(record["Name"]),
        "industry": record["Industry"],
        "employee_count": record["NumberOfEmployees"],
        "annual_revenue": _decimal(record["AnnualRevenue"]),
    }


def _person(record: Record) -> dict[str, Any]:
    email = _trimmed(record["Email"])
    return {
        "first_name": _trimmed(record["FirstName"]),
        "last_name": _trimmed(record["LastName"]),
        "email": email.lower() if email else None,
        "title": _trimmed(record["Title"]),
        "account_external_id": record.get("AccountId") or record.get("ConvertedAccountId"),
        "converted_to": record.get("ConvertedContactId") if record.get("IsConverted") else None,
    }


def _opportunity(record: Record) -> dict[str, Any]:
    return {
        "name": _trimmed(record["Name"]),
        "stage": record["StageName"],
        "amount": _decimal(record["Amount"]),
        "close_date": date.fromisoformat(record["CloseDate"]) if record["CloseDate"] else None,
        "is_won": record["IsWon"],
        "account_external_id": record["AccountId"],
    }


def _task(record: Record) -> dict[str, Any]:
    mail, call = ("email_sent", "email"), ("call", "phone")
    kind, channel = {"Email": mail, "ListEmail": mail, "Call": call}.get(
        record.get("TaskSubtype") or "", ("task", "other")
    )
    return _activity(record, kind, channel, record["CompletedDateTime"] or record["LastModifiedDate"])


def _took_place(record: Record) -> bool:
    """Whether an event is a meeting of its own that has been."""
    if record["IsChild"] or record["IsRecurrence"]:
        return False
    return datetime.fromisoformat(record["StartDateTime"]) <= datetime.now(UTC)


def _event(record: Record) -> dict[str, Any]:
    start = record["StartDateTime"] or record["ActivityDateTime"] or record["CreatedDate"]
    return _activity(record, "meeting_attend", "meetings", start)


def _activity(record: Record, kind: str, channel: str, at: str) -> dict[str, Any]:
    moment = datetime.fromisoformat(at)
    return {
        "type": kind,
        "channel": channel,
        "occurred_at": moment if moment.tzinfo else moment.replace(tzinfo=UTC),
        "person_external_id": record["WhoId"],
    }


def _trimmed(text: str | None) -> str | None:
    return (text or "").strip() or None


def _decimal(number: Any) -> Decimal | None:
    return None if number is None else Decimal(number)
