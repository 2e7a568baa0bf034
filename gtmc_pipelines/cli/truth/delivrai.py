"""What canonical rows must be, worked out from Delivr.ai's own records, independently of our mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

Record = Mapping[str, Any]


def expected(records: Callable[[str], Iterable[Record]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Intent signals with their activities, and enriched companies by domain, of one organization."""
    signals = list(records("IntentSignal"))
    return {
        "intent_signals": {signal["id"]: _signal(signal) for signal in signals},
        "activities": {signal["id"]: _activity(signal) for signal in signals},
        "accounts": {company["domain"].lower(): _account(company) for company in records("Company")},
    }


def _signal(signal: Record) -> dict[str, Any]:
    return {
        "person_id": signal["personId"],
        "person_email": _lower(signal["personEmail"]),
        "account_domain": _lower(signal["accountDomain"]),
        "content_url": signal["contentUrl"],
        "content_topic": signal["contentTopic"],
        "occurred_at": datetime.fromisoformat(signal["occurredAt"]),
        "dwell_time_seconds": _decimal(signal["dwellTimeSeconds"]),
        "session_id": signal["sessionId"],
    }


def _activity(signal: Record) -> dict[str, Any]:
    return {
        "type": "intent_signal",
        "channel": "intent",
        "occurred_at": datetime.fromisoformat(signal["occurredAt"]),
        "person_external_id": _lower(signal["personEmail"]) or signal["personId"],
        "account_external_id": _lower(signal["accountDomain"]),
    }


def _account(company: Record) -> dict[str, Any]:
    return {
        "name": company["name"] or company["domain"],
        "domain": company["domain"].lower(),
        "industry": company["industry"],
        "employee_count": company["employeeCount"],
        "annual_revenue": _decimal(company["annualRevenue"]),
    }


def _lower(text: str | None) -> str | None:
    return text.lower() if text else None


def _decimal(number: Any) -> Decimal | None:
    return None if number is None else Decimal(number)
