"""What happens at the vendors between the demo's two syncs: some records change, some go, some come."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gtmc_pipelines.model.connector_types import ConnectorType

CHANGES: dict[ConnectorType, tuple[Mapping[str, Any], ...]] = {
    ConnectorType.SALESFORCE: (
        {"object": "Contact", "action": "update", "count": 40, "fields": {"Title": "Chief Revenue Officer"}},
        {"object": "Account", "action": "create", "count": 5},
        {"object": "Opportunity", "action": "update", "count": 12, "fields": {"StageName": "Closed Won"}},
        {"object": "Lead", "action": "delete", "count": 8},
        {"object": "Task", "action": "create", "count": 20},
    ),
    ConnectorType.CUSTOMERIO: (
        {"object": "people", "action": "update", "count": 12},
        {"object": "people", "action": "create", "count": 3},
        {"object": "messages", "action": "create", "count": 6},
    ),
    ConnectorType.DELIVRAI: (
        {"object": "IntentSignal", "action": "create", "count": 9},
        {"object": "Company", "action": "update", "count": 4, "fields": {"industry": "Robotics"}},
    ),
    ConnectorType.O365: (
        {"object": "Message", "action": "create", "count": 6},
        {"object": "Message", "action": "delete", "count": 2},
    ),
    ConnectorType.FATHOM: (
        {"object": "meetings", "action": "create", "count": 2},  # Fathom tells of no change behind the look-back
    ),
    ConnectorType.CUSTOMERIO: (
        {"object": "people", "action": "update", "count": 12, "fields": {"title": "Chief Revenue Officer"}},
        {"object": "people", "action": "create", "count": 4},
        {"object": "messages", "action": "update", "count": 15},
        {"object": "messages", "action": "create", "count": 10},
        {"object": "activities", "action": "create", "count": 25},
    ),
}


def change(url: str, org: str, connector: ConnectorType, ca_file: Path | None) -> int:
    """Make the changes in one org of the sandbox vendor at `url`; gives how many records changed."""
    context = ssl.create_default_context(cafile=str(ca_file)) if url.startswith("https") else None
    changed = 0
    for wish in CHANGES[connector]:
        request = urllib.request.Request(  # noqa: S310
            f"{url}/_sandbox/mutate",
            data=json.dumps({"org": org, **wish}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=context, timeout=60) as answer:  # noqa: S310
            changed += int(json.load(answer)["count"])
    return changed
