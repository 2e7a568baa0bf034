"""Consent: nothing of a mailbox is read or written without an accepted data-processing agreement."""

from __future__ import annotations

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Reauthorize
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import get_config
from gtmc_pipelines.workflows.inputs import SyncRequest


def require_consent(database: Database, request: SyncRequest) -> None:
    """The first statement of an Office 365 sync and of every batch; nothing for other connectors.

    Raises Reauthorize `dpa_not_accepted`: a withdrawal stops a running sync at its next batch.
    """
    if request.connector_type is not ConnectorType.O365:
        return
    with database.tenant(request.tenant_id) as handle:
        is_accepted = get_config(handle, request.tenant_id).is_accepted
    if not is_accepted:
        raise Reauthorize(
            "dpa_not_accepted",
            f"Tenant {request.tenant_id} has not accepted the data-processing agreement for Office 365.",
            next_step=f"Accept it: gtmc o365 accept-dpa --tenant {request.tenant_id}",
        )
