"""Points a connector of a development sandbox that has moved at where its vendor is now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from psycopg.types.json import Jsonb

from gtmc_pipelines.model.noted_addresses import NOTED, note_of, noted
from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, row, run
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines.vault.secret import Secret

INSTANCE_URL = "instance_url"
"""The one sealed value of a vendor's that is an address (Salesforce's newest, by its token answers)."""

_READ = """
SELECT coalesce(config -> 'options', '{}') AS options,
       coalesce(config -> 'secrets', '{}') ?| ARRAY['instance_url', 'addresses'] AS sealed
  FROM connectors WHERE tenant_id = %(tenant_id)s AND id = %(id)s FOR UPDATE
"""
_WRITE_OPTIONS = """
UPDATE connectors
   SET config = jsonb_set(config, '{options}', config -> 'options' || %(options)s),
       version = version + 1, updated_at = now()
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s
"""

# Links that a vendor gave for going on stand in the cursors as JSON texts, so a quote comes before them.
_WRITE_CURSORS = """
UPDATE stream_cursors
   SET cursor = replace(cursor, %(before)s, %(after)s), watermark = replace(watermark, %(before)s, %(after)s)
 WHERE tenant_id = %(tenant_id)s AND connector_id = %(id)s
   AND (strpos(cursor, %(before)s) > 0 OR strpos(watermark, %(before)s) > 0)
"""


def readdress(
    database: Database, keyring: KeyRing, tenant_id: str, connector_id: str, moves: Mapping[str, str], *, actor: str
) -> list[str]:
    """Replace former addresses (`scheme://host:port`) by what `moves` says; gives the names of what was changed.

    Looked at are the connector's options, its sealed instance URL and note of addresses, and the links in its
    cursors. What lies anywhere else stays letter by letter, and a connector without any is not written at all. Raises
    the vault's Broken when a seal doesn't open, or Misuse `unknown_connector`; then nothing is changed.
    """
    stored = StoredCredentials(database, keyring, tenant_id, connector_id, actor=actor)
    key = {"tenant_id": tenant_id, "id": connector_id}
    with stored.alone() as handle:
        found = row(handle, _READ, key) or {"options": {}, "sealed": False}
        before = {name: value for name, value in found["options"].items() if moved(value, moves) != value}
        after = {name: moved(value, moves) for name, value in before.items()}
        changed = list(after)
        if after:
            run(handle, _WRITE_OPTIONS, {**key, "options": Jsonb(after)})
        if found["sealed"]:
            changed += _move_sealed(stored, handle, moves, (tenant_id, connector_id))
        links = [{"before": f'"{former}/', "after": f'"{now}/'} for former, now in moves.items()]
        if sum(run(handle, _WRITE_CURSORS, {**key, **link}) for link in links):
            changed.append("cursors")
        if changed:
            audit.record(
                handle,
                tenant_id,
                actor=actor,
                action="connector.readdress",
                resource="connector",
                resource_id=connector_id,
                changes={"before": {"options": before}, "after": {"options": after, "changed": changed}},
            )
    return changed


def moved(value: Any, moves: Mapping[str, str]) -> Any:
    """`value` at its new address when it is a URL exactly at a former one; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        parts = urlsplit(value)
    except ValueError:
        return value
    former = f"{parts.scheme}://{parts.netloc.lower()}"
    if former not in moves or not value.lower().startswith(former):
        return value
    return moves[former] + value[len(former) :]


def _move_sealed(
    stored: StoredCredentials, handle: Handle, moves: Mapping[str, str], owner: tuple[str, str]
) -> list[str]:
    """Move the sealed instance URL, and the note of where the credentials may be sent."""
    secrets = stored.opened(handle)
    after: dict[str, Secret] = {}
    if INSTANCE_URL in secrets:
        after[INSTANCE_URL] = Secret(moved(secrets[INSTANCE_URL].reveal(), moves))
    known = noted(secrets[NOTED].reveal(), *owner) if NOTED in secrets else frozenset()
    if known:
        after[NOTED] = Secret(note_of(*owner, [moved(address, moves) for address in known]))
    changed = [name for name, secret in after.items() if secret != secrets[name]]
    if changed:
        stored.store(handle, {**secrets, **after})
    return [f"sealed {name}" for name in changed]
