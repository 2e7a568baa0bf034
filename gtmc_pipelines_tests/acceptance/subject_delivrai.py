"""Delivr.ai in front of the acceptance suite: an API key, signals since a time, companies compared."""

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


def _environment(site: Site) -> Mapping[str, Any]:
    return {"DELIVRAI_API_URL": site.base}


def _connect(site: Site) -> Connected:
    key = Secret(site.credentials["orgs"][site.org]["api_key"])
    return Connected({"api_key": key}, {"limit": 50, "requests_per_second": GENEROUS})


SUBJECT = Subject(
    type=ConnectorType.DELIVRAI,
    sizes={"signals": 230, "enriched_companies": 180, "delivrai_requests_per_second": GENEROUS},
    environment=_environment,
    connect=_connect,
    streams=(
        StreamCase(
            name="intent_signals",
            endpoint=r"/intent-signals$",
            changes=(Change("IntentSignal", "create"),),
            late=Late(Change("IntentSignal", "create"), timedelta(hours=23)),
            delete=Exempt("Signals are an event log: nothing that happened is taken back."),
            faults={
                Fault.MISSING_OPTIONAL: {"fault": "dropped_field", "field": "contentTopic"},
                Fault.MISSING_REQUIRED: {"fault": "dropped_field", "field": "occurredAt", "count": 1},
                Fault.HUGE_RECORD: {"fault": "huge_record", "bytes": 1_200_000, "count": 1},
            },
        ),
        StreamCase(
            name="company_enrichment",
            endpoint=r"/company-enrichment$",
            changes=(Change("Company", "update"), Change("Company", "create")),
            late=Late(Change("Company", "update"), timedelta(days=200)),
            delete=Change("Company", "delete"),
            faults={
                Fault.MISSING_OPTIONAL: {"fault": "dropped_field", "field": "industry"},
                Fault.MISSING_REQUIRED: Exempt("A company without a name goes by its domain, and that is its id."),
                Fault.HUGE_RECORD: {"fault": "huge_record", "field": "industry", "bytes": 1_200_000, "count": 1},
            },
        ),
    ),
    faults={
        Fault.CURSOR_LOOP: {"fault": "cursor_loop"},
        Fault.EMPTY_PAGE: {"fault": "empty_page", "count": 1},
        Fault.FOREIGN_LINK: {"fault": "foreign_next"},
        Fault.MALFORMED_RECORD: {"fault": "record_without_id", "count": 1},
        Fault.UNKNOWN_FIELD: {"fault": "extra_field"},
    },
    members=Exempt("No stream of Delivr.ai is read member by member."),
    refusals=(Refusal("company_enrichment", r"/company-enrichment$", {"fault": "forbidden"}, "forbidden"),),
    expired=({"fault": "refused_key"},),
    wide=Exempt("Delivr.ai's records have the members of its contract: a customer can't add one."),
    hidden=HiddenField(
        "company_enrichment", "industry", {"fault": "dropped_field", "field": "industry"}, "accounts", "industry"
    ),
    rate=Rate(8, 1.0, {"requests_per_second": 8, "limit": 20}),
)
