"""Steps that amend landed records by themselves: pure verdicts on one record, and the walk over a stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.domains import plain_domain
from gtmc_pipelines.model.machine_addresses import is_machine
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.raw_amendments import exclude_syncs, mark_gone, rekey
from gtmc_pipelines.storage.renormalize import PAGE_RECORDS, raw_page


class Fate(Enum):
    """What becomes of a record that gets no other id."""

    STAYS = "stays"
    GOES = "goes"


Verdict = Callable[[SourceRecord], Fate | str]
"""Judges one landed record: what becomes of it, or its new id."""


def mail_of_machines(record: SourceRecord) -> Fate:
    """A message whose allowed participants are all machines isn't kept any more."""
    mail: dict[str, Any] = json.loads(record.payload)
    named = [mail.get("contact"), mail.get("sender"), *(mail.get("to") or ()), *(mail.get("cc") or ())]
    people = [address for address in named if isinstance(address, str) and not is_machine(address)]
    return Fate.STAYS if people else Fate.GOES


def company_by_plain_domain(record: SourceRecord) -> Fate | str:
    """A company's id is its domain in plain form; what is no domain names no company."""
    plain = plain_domain(record.external_id)
    if plain is None:
        return Fate.GOES
    return Fate.STAYS if plain == record.external_id else plain


@dataclass(frozen=True, slots=True)
class Amendment:
    """A verdict on every live record of one stream. Asked again of what it has done, it leaves everything as it is."""

    stream: Stream
    verdict: Verdict


def amend(database: Database, row: ConnectorRow, amendment: Amendment, pulse: Callable[[], None]) -> Counts:
    """Carry it out, a page in one transaction; gives what was read and done. `pulse` may raise to stop between pages.

    Raises Misuse `sync_running` while the connector is synced.
    """
    counts, after, stream, tenant_id = Counts(), "", amendment.stream, row.tenant_id
    while True:
        pulse()
        page = raw_page(database, tenant_id, stream, after)
        fates = {record.external_id: amendment.verdict(record) for record in page if not record.is_deleted}
        gone = [external_id for external_id, fate in fates.items() if fate is Fate.GOES]
        keys = {external_id: fate for external_id, fate in fates.items() if isinstance(fate, str)}
        with database.tenant(tenant_id) as handle:
            exclude_syncs(handle, tenant_id, row.id)
            deleted = mark_gone(handle, tenant_id, stream, gone)
            updated = rekey(handle, tenant_id, stream, keys)
        deleted += len(keys) - updated
        counts += Counts(read=len(page), updated=updated, deleted=deleted, unchanged=len(page) - updated - deleted)
        if len(page) < PAGE_RECORDS:
            return counts
        after = page[-1].external_id
