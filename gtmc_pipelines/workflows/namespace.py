"""Prepares a namespace for our workflows: search attributes and retention. Run it again at any time.

    python -m gtmc_pipelines.workflows.namespace

The dev server honours its flags only for a new file and keeps closed workflows for one day, so this
runs after every start of an embedded server, and once by hand for a namespace of one's own.
"""

from __future__ import annotations

import asyncio
import sys

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from gtmc_pipelines.model.errors import GtmcError, Misuse
from gtmc_pipelines.model.shown_text import shown
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.workflows.connection import connect
from gtmc_pipelines.workflows.inputs import SEARCH_KEYS

RETENTION_DAYS = 30
_PATIENCE_SECONDS = 10.0  # an embedded server's port answers a moment before its frontend does


def prepare_namespace(address: str, namespace: str) -> None:
    """Make `namespace` know our search attributes and keep closed workflows for 30 days. Idempotent.

    Raises Misuse when the server can't be reached or doesn't allow it.
    """
    asyncio.run(_prepare(address, namespace))


async def _prepare(address: str, namespace: str) -> None:
    client = await connect(address, namespace, patience_seconds=_PATIENCE_SECONDS)
    try:
        await _add_attributes(client, namespace)
        await client.workflow_service.update_namespace(
            UpdateNamespaceRequest(
                namespace=namespace,
                config=NamespaceConfig(
                    workflow_execution_retention_ttl=Duration(seconds=RETENTION_DAYS * 24 * 3600),
                ),
            )
        )
    except RPCError as error:
        raise _refused(namespace, error.status) from None
    finally:
        await asyncio.sleep(0.05)  # the SDK's threads may still hold the interpreter: see reference, temporal 21


async def _add_attributes(client: Client, namespace: str) -> None:
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=namespace, search_attributes={key.name: keyword for key in SEARCH_KEYS})
    )


def _refused(namespace: str, status: RPCStatusCode) -> Misuse:
    if status is RPCStatusCode.NOT_FOUND:
        return Misuse(
            "temporal_namespace_unknown",
            f"Temporal has no namespace {namespace!r}.",
            next_step="Create it, or correct TEMPORAL_NAMESPACE.",
        )
    return Misuse(
        "temporal_namespace_refused",
        f"Temporal refused to prepare the namespace {namespace!r} ({status.name}).",
        next_step="Ask its administrator to add the search attributes: "
        + ", ".join(f"{key.name} (Keyword)" for key in SEARCH_KEYS)
        + ".",
    )


def main() -> int:
    """Prepare the namespace the settings name; exit status 1 with one sentence when that fails."""
    try:
        settings = load_settings()
        prepare_namespace(settings.required("temporal_address"), settings.temporal_namespace)
    except GtmcError as error:
        sys.stderr.write(f"{shown(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
