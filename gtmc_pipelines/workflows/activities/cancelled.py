"""A cancelled workflow in the audit log: who asked for it."""

from __future__ import annotations

import re

from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.statements import Handle
from gtmc_pipelines.workflows.inputs import OUTSIDE, FinalizeRequest

_ACTOR = re.compile(r"(?:cli|dagster):[\w .@+\\-]{1,100}")


def audit_cancelled(handle: Handle, call: FinalizeRequest, log_id: str) -> None:
    """Record the cancel in the caller's transaction. A reason that isn't one of ours is free text, and not kept."""
    request = call.request
    audit.record(
        handle,
        request.tenant_id,
        actor=call.cancelled_by if _ACTOR.fullmatch(call.cancelled_by) else OUTSIDE,
        action="sync.cancel",
        resource="connector",
        resource_id=request.connector_id,
        changes={"after": {"sync_log": log_id, "outcome": call.outcome.value}},
    )
