"""Moving a connector's stored credentials to another address: on an administrator's word, and on nobody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gtmc_pipelines.connectors.bound import allowed_by, note_for, strangers
from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials
from gtmc_pipelines.connectors.registry import addresses_of
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.noted_addresses import NOTED
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage import connector_states
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.workflows.composition import compose, key_ring


@dataclass(frozen=True, slots=True)
class Rebinding:
    """What a move would do: addresses confirmed until now, all that are wanted, and those of them that are new."""

    row: ConnectorRow  # as it is going to be
    former: tuple[str, ...]
    wanted: tuple[str, ...]
    new: tuple[str, ...]


def plan_rebinding(settings: Settings, database: Database, row: ConnectorRow, options: Mapping[str, Any]) -> Rebinding:
    """Compare where a connector's credentials may go with where its settings, and `options` over them, lead.

    Raises Misuse `not_connected` for a connector that holds none, Broken for an address that is refused anyway.
    """
    stored = StoredCredentials(database, key_ring(settings), row.tenant_id, row.id).read()
    _require_some(row, stored)
    wanted_row = replace(row, options={**row.options, **options})
    addresses, composed = addresses_of(row.type), compose(settings, wanted_row)
    allowed, is_own = allowed_by(stored.get(NOTED), composed, addresses, _installation(settings, row))
    wanted = tuple(dict.fromkeys(addresses.of(composed).values()))
    return Rebinding(wanted_row, tuple(sorted(allowed)), wanted, tuple(strangers(wanted, allowed, is_own)))


def rebind(settings: Settings, database: Database, planned: Rebinding, *, actor: str) -> None:
    """Store options and the note of addresses together, as they were shown. Nothing is sent anywhere by this."""
    row, addresses = planned.row, addresses_of(planned.row.type)
    composed = compose(settings, row)
    stored = StoredCredentials(database, key_ring(settings), row.tenant_id, row.id, actor=actor)
    after = {"addresses": list(planned.wanted), "options": dict(row.options)}
    changes = {"before": {"addresses": list(planned.former)}, "after": after}
    with stored.alone() as handle:
        secrets = stored.opened(handle)
        _require_some(row, secrets)
        stored.store(handle, {**secrets, NOTED: note_for(row.tenant_id, row.id, addresses.of(composed).values())})
        connector_states.rebind(handle, row.tenant_id, row.id, row.options, actor=actor, changes=changes)


def _installation(settings: Settings, row: ConnectorRow) -> ConnectorSettings:
    return compose(settings, replace(row, options={}))


def _require_some(row: ConnectorRow, stored: Credentials) -> None:
    if not stored:
        raise Misuse(
            "not_connected",
            f"The {row.type.label} connector of {row.tenant_id} holds no credentials, so there is nothing to move.",
            next_step=f"Connect it: gtmc connectors connect --tenant {row.tenant_id} --connector {row.type}",
        )
