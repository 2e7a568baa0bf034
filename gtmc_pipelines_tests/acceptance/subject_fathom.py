"""Fathom in front of the acceptance suite: an API key, page-number cursors, and re-reads in place of a change feed."""

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
    Site,
    StreamCase,
    Subject,
)

GENEROUS = {"rate_limit": 10_000, "heavy_rate_limit": 10_000}
WHOLE_YEAR = {"lookback_days": 365}  # seeded meetings are older than the usual two weeks, and updates are of those


def _environment(site: Site) -> Mapping[str, Any]:
    return {"FATHOM_BASE_URL": f"{site.base}/external/v1"}


def _connect(site: Site) -> Connected:
    key = Secret(site.credentials["orgs"][site.org]["api_key"])
    return Connected({"api_key": key}, {**GENEROUS, **WHOLE_YEAR})


SUBJECT = Subject(
    type=ConnectorType.FATHOM,
    sizes={"meetings": 60, "transcript_bytes": 1_500},
    environment=_environment,
    connect=_connect,
    streams=(
        StreamCase(
            name="meetings",
            endpoint="/meetings",
            changes=(Change("meetings", "create"), Change("meetings", "update")),
            late=Late(Change("meetings", "create"), timedelta(days=13)),
            delete=Change("meetings", "delete"),
        ),
    ),
    faults={
        Fault.CURSOR_LOOP: {"fault": "cursor_loop"},
        Fault.EMPTY_PAGE: {"fault": "empty_page", "count": 1},
        Fault.FOREIGN_LINK: {"fault": "foreign_next"},
        Fault.MALFORMED_RECORD: {"fault": "record_without_id", "count": 1},
        Fault.UNKNOWN_FIELD: {"fault": "extra_field"},
        Fault.MISSING_OPTIONAL: {"fault": "dropped_field", "field": "default_summary"},
        Fault.MISSING_REQUIRED: {"fault": "dropped_field", "field": "created_at", "count": 1},
        Fault.HUGE_RECORD: {"fault": "huge_transcript", "bytes": 1_200_000, "count": 1},
    },
    members=Exempt("No stream of Fathom is read member by member."),
    refusals=Exempt("Fathom has one stream: there is no other to go on with."),
    expired=({"fault": "key_refused"},),
    wide=Exempt("Fathom's meetings have the members of its contract: a customer can't add one."),
    hidden=HiddenField(
        "meetings",
        "default_summary.markdown_formatted",
        {"fault": "dropped_field", "field": "default_summary"},
        "fathom_meetings",
        "summary",
        needs_full=True,
    ),
    rate=Rate(3, 3.0, {"rate_limit": 3, "heavy_rate_limit": 3, "rate_seconds": 3}, path="/meetings"),
    ways={"recordings": {"include_mode": "recordings"}},
)
