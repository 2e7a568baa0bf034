"""The five imitated vendors of the fleet's benchmark: one small organization each, which all tenants share.

A sync without change is then about our machinery, not about data. What a shared organization would
distort is taken away by the sandbox's own means: the requests a second that Customer.io and Delivr.ai
allow a key are sizes (`…_requests_per_second`), Fathom's window is the knob `rate_window`, and each
connector is told by its own option that it may ask as fast. Over plain http, so no TLS is measured;
Office 365 logs in over https, because msal refuses anything else, and its open sessions share the
directory's token: 2,000 directories would log in more often.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import accept_dpa, set_domains

ORG = "acme"
_FAST = 1_000_000
SIZES: Mapping[str, int] = {
    "accounts": 40,
    "contacts": 30,
    "leads": 10,
    "opportunities": 10,
    "tasks": 10,
    "events": 10,
    "customerio_people": 20,
    "customerio_messages": 20,
    "customerio_activities": 20,
    "customerio_requests_per_second": _FAST,
    "signals": 20,
    "enriched_companies": 10,
    "delivrai_requests_per_second": _FAST,
    "mailboxes": 2,
    "mailbox_messages": 20,
    "mailbox_copies": 0,
    "meetings": 5,
    "transcript_bytes": 1_500,
}
"""Records of the organization, and the limits that are raised."""

_OPTIONS: Mapping[ConnectorType, Mapping[str, Any]] = {
    ConnectorType.CUSTOMERIO: {"region": "us", "requests_per_second": 1_000},
    ConnectorType.DELIVRAI: {"requests_per_second": 1_000},
    ConnectorType.FATHOM: {"rate_limit": 100_000, "heavy_rate_limit": 100_000},
}


@dataclass(frozen=True, slots=True)
class Access:
    """What a login or a key would have left behind at a connector: secrets in the clear, and plain options."""

    secrets: Mapping[str, str]
    options: Mapping[str, Any]


def access_to(vendors: Mapping[str, Any], connector: ConnectorType) -> Access:
    """How a tenant comes in at a vendor, from what the sandbox announced."""
    vendor = vendors[connector.value]
    org: Mapping[str, Any] = vendor["credentials"]["orgs"][ORG]
    options = dict(_OPTIONS.get(connector, {}))
    if connector is ConnectorType.SALESFORCE:
        return Access({"access_token": org["access_token"]}, options | {"instance_url": vendor["http"]})
    if connector is ConnectorType.O365:
        directory = org["directory_id"]
        return Access({"directory_id": directory}, options | {"organization_id": directory})
    return Access({"api_key": org["api_key"]}, options)


def consent(database: Database, tenant: str, vendors: Mapping[str, Any]) -> None:
    """Accept Office 365's agreement for a tenant, and allow some partners' domains: else nothing is asked or kept."""
    org = vendors[ConnectorType.O365.value]["credentials"]["orgs"][ORG]
    accept_dpa(database, tenant, actor="bench", dpa_version="1", at=datetime.now(UTC))
    set_domains(database, tenant, org["allowed_domains"], org["domain"], actor="bench")


def lift_limits(vendors: Mapping[str, Any]) -> None:
    """Let one account of Fathom's be asked as often as 2,000 accounts may be."""
    wish = {"fault": "rate_window", "limit": _FAST, "heavy_limit": _FAST, "seconds": 60}
    url = f"{vendors[ConnectorType.FATHOM.value]['http']}/_sandbox/knobs"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(wish).encode(), method="POST"), timeout=30).close()
