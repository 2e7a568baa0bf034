"""How much of a vendor's daily quota a connector's syncs may use: an option of connectors whose vendor has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gtmc_pipelines.connectors.options import Option, whole_number

DEFAULT_PERCENT = 50
DAILY_QUOTA_PERCENT = Option(
    "daily_quota_percent",
    f"Share of the vendor's requests of 24 hours that syncs may use, in percent ({DEFAULT_PERCENT}); the rest waits",
    whole_number(1, 100),
)
"""Counted are the requests of this connector's own syncs; the limit is the vendor's gauge `api_limit`."""


def percent_of(options: Mapping[str, Any]) -> int:
    """The share a connector's options allow."""
    return int(options.get(DAILY_QUOTA_PERCENT.name, DEFAULT_PERCENT))
