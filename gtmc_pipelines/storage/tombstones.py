"""Tombstones: keyed hashes of erased people, so that the next sync doesn't bring them back.

The key is a tenant's own, drawn when its first person is erased and sealed like any credential
(`storage.rotation` seals it again with them): a change of keys must not forget who was erased, and
the hashes can't be made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gtmc_pipelines.model.addresses import written_forms
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, row, rows, run
from gtmc_pipelines.vault.erasure import Marks
from gtmc_pipelines.vault.keyring import KeyRing, SealContext
from gtmc_pipelines.vault.pseudonyms import Pseudonyms, new_key_hex

_REMEMBERED = 2_048  # answers about names of fields and values that come again and again

_ADD = """
INSERT INTO erased_people (tenant_id, mark_hash, kind, erased_by)
SELECT %(tenant)s, mark, %(kind)s, %(actor)s FROM unnest(%(marks)s::bytea[]) AS mark
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Tombstones:
    """All erased people of a tenant, by hash."""

    hashes: frozenset[bytes]
    pseudonyms: Pseudonyms

    def marks(self, source: str) -> Marks:
        """How to recognise any of them in what this vendor delivers."""
        return Marks(
            is_address=self.is_address,
            is_id=lru_cache(_REMEMBERED)(lambda text: self.is_id(source, text)),
        )

    def is_address(self, address: str) -> bool:
        """Whether a plain address is that of an erased person; those erased before had their host as it was typed."""
        return "@" in address and any(self.pseudonyms.of_email(f) in self.hashes for f in written_forms(address))

    def is_id(self, source: str, external_id: str) -> bool:
        """Whether this vendor's id is that of an erased person."""
        return self.pseudonyms.of_external_id(source, external_id) in self.hashes


def load(database: Database, ring: KeyRing, tenant_id: str) -> Tombstones | None:
    """A tenant's tombstones, or None when nobody was ever erased: one query.

    Raises Broken when their key doesn't open: nothing must be written then. A key sealed with a
    retired one is sealed again.
    """
    with database.tenant(tenant_id) as handle:
        found = rows(handle, "SELECT mark_hash FROM erased_people WHERE tenant_id = %(t)s", {"t": tenant_id})
        if not found:
            return None
        return Tombstones(frozenset(bytes(r["mark_hash"]) for r in found), _pseudonyms(handle, ring, tenant_id))


def add(
    handle: Handle, ring: KeyRing, tenant_id: str, email: str, ids: Mapping[str, Iterable[str]], *, actor: str
) -> int:
    """Note an erased person by address and by each vendor's ids; how many hashes are new."""
    pseudonyms = _pseudonyms(handle, ring, tenant_id)
    of_ids = [pseudonyms.of_external_id(source, one) for source, known in ids.items() for one in known]
    values = {"tenant": tenant_id, "actor": actor}
    added = run(handle, _ADD, values | {"kind": "email", "marks": [pseudonyms.of_email(email)]})
    return added + run(handle, _ADD, values | {"kind": "external_id", "marks": of_ids})


def _pseudonyms(handle: Handle, ring: KeyRing, tenant_id: str) -> Pseudonyms:
    sealed = _stored(handle, tenant_id)
    if sealed is None:
        run(
            handle,
            "INSERT INTO erasure_keys (tenant_id, sealed) VALUES (%(t)s, %(sealed)s) ON CONFLICT DO NOTHING",
            {"t": tenant_id, "sealed": ring.seal(new_key_hex(), _place(tenant_id))},
        )
        sealed = _stored(handle, tenant_id)  # another erasure's, if it was first
        assert sealed is not None
    key = ring.open(sealed, _place(tenant_id)).reveal()
    _renew(handle, ring, tenant_id, sealed)
    return Pseudonyms(bytes.fromhex(key))


def _renew(handle: Handle, ring: KeyRing, tenant_id: str, sealed: str) -> None:
    if not ring.needs_reseal(sealed):
        return
    place = _place(tenant_id)
    run(
        handle,
        "UPDATE erasure_keys SET sealed = %(new)s WHERE tenant_id = %(t)s AND sealed = %(old)s",
        {"t": tenant_id, "old": sealed, "new": ring.seal(ring.open(sealed, place).reveal(), place)},
    )


def _stored(handle: Handle, tenant_id: str) -> str | None:
    found = row(handle, "SELECT sealed FROM erasure_keys WHERE tenant_id = %(t)s", {"t": tenant_id})
    return None if found is None else str(found["sealed"])


def _place(tenant_id: str) -> SealContext:
    return SealContext(tenant_id, "erasure", "tombstone_key")
