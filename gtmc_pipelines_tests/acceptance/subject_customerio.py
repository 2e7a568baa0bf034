"""Customer.io in front of the acceptance suite: an API key, a shared bucket of requests, look-backs and comparison."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
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
    Rate,
    Refusal,
    Site,
    StreamCase,
    Subject,
)

GENEROUS = 1_000
A_LOG = Exempt("What has happened stays: Customer.io's logs are never deleted from.")


def _environment(site: Site) -> Mapping[str, Any]:
    return {
        "CUSTOMERIO_API_URL": f"{site.base}/v1",
        "CUSTOMERIO_EU_API_URL": f"{site.base}/eu/v1",
        "CUSTOMERIO_TRACK_URL": f"{site.base}/api/v1",
    }


def _connect(site: Site) -> Connected:
    key = Secret(site.credentials["orgs"][site.org]["api_key"])
    return Connected({"api_key": key}, {"region": "us", "page_records": 50, "requests_per_second": GENEROUS})


SUBJECT = Subject(
    type=ConnectorType.CUSTOMERIO,
    sizes={
        "customerio_people": 130,
        "customerio_messages": 160,
        "customerio_activities": 170,
        "customerio_requests_per_second": GENEROUS,
    },
    environment=_environment,
    connect=_connect,
    streams=(
        StreamCase(
            name="people",
            endpoint=r"/customers$",
            changes=(Change("people", "update"), Change("people", "create")),
            late=Late(Change("people", "update"), timedelta(days=300)),
            delete=Change("people", "delete"),
            faults={
                Fault.UNKNOWN_FIELD: {"fault": "extra_field"},
                Fault.MISSING_OPTIONAL: {"fault": "dropped_field", "field": "email"},
                Fault.MISSING_REQUIRED: Exempt("Nothing of a person is required but the id."),
                Fault.HUGE_RECORD: Exempt(
                    "The list of people holds ids only; a huge person comes with the attributes."
                ),
            },
        ),
        StreamCase(
            name="email_events",
            endpoint=r"/messages$",
            changes=(Change("messages", "update"), Change("messages", "create")),
            late=Late(Change("messages", "create"), timedelta(days=29)),
            delete=A_LOG,
            faults={
                Fault.MISSING_OPTIONAL: {"fault": "dropped_field", "field": "campaign_id"},
                Fault.MISSING_REQUIRED: {"fault": "dropped_field", "field": "metrics", "count": 1},
            },
        ),
        StreamCase(
            name="behavioral_events",
            endpoint=r"/activities$",
            changes=(Change("activities", "create"),),
            late=Late(Change("activities", "create"), timedelta(minutes=50)),
            delete=A_LOG,
            faults={
                Fault.MISSING_OPTIONAL: {"fault": "dropped_field", "field": "delivery_type"},
                Fault.MISSING_REQUIRED: {"fault": "dropped_field", "field": "timestamp", "count": 1},
            },
        ),
    ),
    faults={
        Fault.CURSOR_LOOP: {"fault": "cursor_loop"},
        Fault.EMPTY_PAGE: {"fault": "empty_page", "count": 1},
        Fault.FOREIGN_LINK: {"fault": "foreign_next"},
        Fault.MALFORMED_RECORD: {"fault": "record_without_id", "count": 1},
        Fault.UNKNOWN_FIELD: {"fault": "extra_field"},
        Fault.HUGE_RECORD: {"fault": "huge_record", "bytes": 1_200_000, "count": 1},
    },
    members=Exempt("No stream of Customer.io is read member by member."),
    refusals=(
        Refusal("people", r"/customers$", {"fault": "meta_error"}, "bad_request"),
        Refusal("email_events", r"/messages$", {"fault": "forbidden"}, "forbidden"),
    ),
    expired=({"fault": "expired_key"},),
    wide=({"fault": "extra_field", "field": "an_attribute_of_forty_characters", "fields": 800},),
    hidden=HiddenField("people", "attributes.title", {"fault": "dropped_field", "field": "title"}, "people", "title"),
    rate=Rate(8, 1.0, {"requests_per_second": 8}),
)
