"""Salesforce in front of the acceptance suite: OAuth with rotating tokens, SOQL windows, deletions in the feed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.acceptance.subject import (
    Change,
    Connected,
    Exempt,
    Fault,
    HiddenField,
    Late,
    Refusal,
    Site,
    StreamCase,
    Subject,
)
from gtmc_pipelines_tests.connectors.salesforce_scene import Org

ACTIVITIES = 20
ROWS: Mapping[str, Mapping[str, Any]] = {"Task": {"Status": "Completed"}, "Event": {"IsChild": False}}
"""What makes a task or an event a row of its own."""

INSIDE_THE_OVERLAP = timedelta(minutes=9)
FURTHER_PAGES = r"/query(All)?/."  # a first page is asked for by SOQL, of whatever object: its path names none


def _environment(site: Site) -> Mapping[str, Any]:
    return {
        "SALESFORCE_LOGIN_URL": site.base,
        "SALESFORCE_CLIENT_ID": site.credentials["client_id"],
        "SALESFORCE_CLIENT_SECRET": site.credentials["client_secret"],
    }


def _connect(site: Site) -> Connected:
    """A real authorization code flow with PKCE; pages as small as Salesforce makes them."""
    granted = Org.of(dict(site.announcement), site.org).granted()
    return Connected({**granted.held, "instance_url": Secret(site.base)}, {"page_records": 200})


def _prepare(site: Site) -> None:
    """Every task is done and every event the organizer's, so that each of their changes is one of a row."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for kind, fields in ROWS.items():
        site.mutate(Change(kind, "update", ACTIVITIES, fields), yesterday)


def _case(name: str, kind: str, late: str, *, same_reader_as: str = "contacts") -> StreamCase:
    fields = ROWS.get(kind)
    return StreamCase(
        name=name,
        endpoint=FURTHER_PAGES,
        changes=(Change(kind, "update", fields=fields), Change(kind, "create", fields=fields)),
        late=Late(Change(kind, late, fields=fields), INSIDE_THE_OVERLAP),
        delete=Change(kind, "delete"),
        same_reader_as=same_reader_as,
    )


SUBJECT = Subject(
    type=ConnectorType.SALESFORCE,
    sizes={
        "accounts": 30,
        "contacts": 450,
        "leads": 30,
        "opportunities": 20,
        "tasks": ACTIVITIES,
        "events": ACTIVITIES,
    },
    environment=_environment,
    connect=_connect,
    prepare=_prepare,
    streams=(
        _case("accounts", "Account", "update"),
        _case("contacts", "Contact", "create", same_reader_as=""),
        _case("leads", "Lead", "update"),
        _case("opportunities", "Opportunity", "create"),
        _case("tasks", "Task", "update"),
        _case("events", "Event", "create"),
    ),
    faults={
        Fault.CURSOR_LOOP: {"fault": "cursor_loop"},
        Fault.EMPTY_PAGE: {"fault": "empty_page", "count": 1},
        Fault.FOREIGN_LINK: {"fault": "foreign_next"},
        Fault.MALFORMED_RECORD: {"fault": "record_without_id", "count": 1},
        Fault.UNKNOWN_FIELD: {"fault": "extra_field"},
        Fault.MISSING_OPTIONAL: {"fault": "dropped_field", "field": "Title"},
        Fault.MISSING_REQUIRED: {"fault": "dropped_field", "field": "LastName", "count": 1},
        Fault.HUGE_RECORD: {"fault": "huge_record", "bytes": 1_200_000, "count": 1},
    },
    members=Exempt("No stream of Salesforce is read member by member."),
    refusals=(
        Refusal(
            "leads",
            "/sobjects/Lead/describe",
            {"fault": "refused", "status": 403, "code": "INSUFFICIENT_ACCESS"},
            "insufficient_access",
        ),
    ),
    expired=({"fault": "expired_session"}, {"fault": "revoke_grant"}),
    wide=tuple(
        {"fault": "custom_fields", "object": kind, "fields": 800, "length": 40} for kind in ("Account", "Lead", "Task")
    ),
    hidden=HiddenField(
        "contacts", "Title", {"fault": "hidden_field", "object": "Contact", "field": "Title"}, "people", "title"
    ),
    ways={"bulk": {"bulk_threshold": 0, "bulk_page_records": 200}},
    rate=Exempt("Salesforce counts requests a day, not a second; a used-up day is the error table's `api_quota`."),
)
