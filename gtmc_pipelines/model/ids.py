"""Identifiers: tenant slugs, connector ids and the documented workflow id."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

from gtmc_pipelines.model.errors import Misuse

_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def tenant_id(text: str) -> str:
    """Give `text` back when it can be a tenant id: it is a Dagster partition key too, so a plain slug.

    Raises Misuse otherwise (commas and slashes break partition selection in the Dagster UI).
    """
    if not _TENANT.fullmatch(text):
        raise Misuse(
            "bad_tenant_id",
            f"{text[:80]!r} can't be a tenant id.",
            next_step="Use 1 to 63 lower-case letters, digits, '-' or '_', starting with a letter or digit.",
        )
    return text


def new_connector_id() -> str:
    """A fresh connector id: a UUID as text, as the platform stores it."""
    return str(uuid.uuid4())


def workflow_id(tenant: str, connector: str, at: datetime) -> str:
    """The documented id `sync-{tenantId}-{connectorId}-{timestamp}`.

    `at` is the schedule tick or the creation time of the Dagster run, never now(), so that a
    caller that crashed and comes back lands on its own workflow (design section 8).
    """
    return f"sync-{tenant}-{connector}-{_stamp(at)}"


def renormalization_id(tenant: str, connector: str, at: datetime) -> str:
    """Id of a workflow that makes canonical rows from raw ones; `at` as in `workflow_id`."""
    return f"renormalize-{tenant}-{connector}-{_stamp(at)}"


def replay_id(tenant: str, connector: str, at: datetime) -> str:
    """Id of a workflow that tries dead letters again; `at` as in `workflow_id`."""
    return f"replay-{tenant}-{connector}-{_stamp(at)}"


def _stamp(at: datetime) -> str:
    """UTC to the millisecond, without characters that need quoting."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S%f}"[:-3] + "Z"
