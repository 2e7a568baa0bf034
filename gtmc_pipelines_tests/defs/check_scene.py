"""A tenant whose past is made up: syncs, raw records and dead letters, stored where the checks look."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gtmc_pipelines.defs.checks.catalog import subjects_of
from gtmc_pipelines.defs.checks.evidence import Evidence
from gtmc_pipelines.defs.checks.verdict import Finding, Verdict
from gtmc_pipelines.defs.enabled import default_mappings
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.dead_letters import NewLetter, upsert_letters
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import run

SALESFORCE = ConnectorType.SALESFORCE


@dataclass(frozen=True)
class CheckScene:
    """One tenant with a connected Salesforce."""

    database: Database
    connector: ConnectorRow
    now: datetime

    @classmethod
    def of(cls, database: Database, tenant: str, now: datetime | None = None) -> CheckScene:
        """Connect Salesforce for the tenant; the checks are asked at `now`."""
        scene = cls(database, add_connector(database, tenant, SALESFORCE), now or datetime.now(UTC))
        scene.status(ConnectorStatus.CONNECTED)
        return scene

    @property
    def tenant(self) -> str:
        return self.connector.tenant_id

    def status(self, status: ConnectorStatus, **error: str) -> None:
        """Put the connector on a status."""
        with self.database.tenant(self.tenant) as handle:
            set_status(handle, self.tenant, self.connector.id, status, **error)  # type: ignore[arg-type]

    def synced_well(self) -> None:
        """The connector's row as a good sync leaves it."""
        with self.database.tenant(self.tenant) as handle:
            set_status(handle, self.tenant, self.connector.id, ConnectorStatus.CONNECTED, synced_at=datetime.now(UTC))

    def synced(
        self,
        hours_ago: float,
        *,
        mode: str = "incremental",
        state: str = "complete",
        trigger: str = "schedule",
        **streams: Mapping[str, int],
    ) -> str:
        """A sync that ended so many hours ago, with these sheets; gives its id."""
        sync, ended = str(uuid.uuid4()), self.now - timedelta(hours=hours_ago)
        sheets = {name: {"state": state, **sheet} for name, sheet in streams.items()}
        with self.database.tenant(self.tenant) as handle:
            run(
                handle,
                "INSERT INTO sync_logs (id, tenant_id, connector_id, sync_type, trigger, status, started_at,"
                " completed_at, stream_counts) VALUES (%(id)s, %(tenant)s, %(connector)s, %(mode)s, %(trigger)s,"
                " 'completed', %(begun)s, %(ended)s, %(sheets)s::jsonb)",
                {
                    "id": sync,
                    "tenant": self.tenant,
                    "connector": self.connector.id,
                    "mode": mode,
                    "trigger": trigger,
                    "begun": ended - timedelta(minutes=1),
                    "ended": ended,
                    "sheets": json.dumps(sheets),
                },
            )
        return sync

    def defer(self, sync: str, until: datetime) -> None:
        """Note that this sync ended for its quota."""
        with self.database.tenant(self.tenant) as handle:
            statement = "UPDATE sync_logs SET deferred_until = %(until)s WHERE id = %(id)s"
            run(handle, statement, {"until": until, "id": sync})

    def first_in_the_sample(self) -> None:
        """Make this the tenant that was synced last, so that field checks look at it."""
        self.age(last_sync_at=self.now + timedelta(days=1))

    def landed(self, payloads: Iterable[Mapping[str, Any]], *, stream: str, sync: str, hours_ago: float = 0) -> None:
        """Raw records of a stream that this sync wrote."""
        with self.database.tenant(self.tenant) as handle:
            for payload in payloads:
                run(
                    handle,
                    f"INSERT INTO raw.salesforce_{stream} (tenant_id, external_id, payload, content_hash, sync_log_id,"  # type: ignore[arg-type]
                    " extracted_at) VALUES (%(tenant)s, %(id)s, %(payload)s::jsonb, '', %(sync)s, %(at)s)",
                    {
                        "tenant": self.tenant,
                        "id": uuid.uuid4().hex,
                        "payload": json.dumps(payload),
                        "sync": sync,
                        "at": self.now - timedelta(hours=hours_ago),
                    },
                )

    def age(self, **columns: datetime) -> None:
        """Set moments of the connector's row."""
        values = ", ".join(f"{name} = %({name})s" for name in columns)
        with self.database.tenant(self.tenant) as handle:
            statement = f"UPDATE connectors SET {values} WHERE tenant_id = %(tenant)s"
            run(handle, statement, {**columns, "tenant": self.tenant})  # type: ignore[arg-type]

    def letter(self, stream: str, code: str) -> None:
        """A record that could not be written."""
        with self.database.tenant(self.tenant) as handle:
            letters = [NewLetter(uuid.uuid4().hex, "map", code, "A sentence.")]
            upsert_letters(handle, self.tenant, self.connector.id, stream, letters)

    def evidence(self) -> Evidence:
        """Everything stored so far."""
        return Evidence(self.database, SALESFORCE, default_mappings(SALESFORCE), self.now)

    def ask(self, check: Any, asset: str, evidence: Evidence | None = None) -> Verdict:
        """The answer of a check for `layer/name`, over all tenants there are."""
        subject = next(s for s in subjects_of(SALESFORCE) if "/".join(s.key.path[1:]) == asset)
        verdict: Verdict = check(evidence or self.evidence(), subject)
        return verdict

    def found(self, check: Any, asset: str) -> list[Finding]:
        """What a check found about this tenant."""
        return [finding for finding in self.ask(check, asset).findings if finding.tenant == self.tenant]


def sheet(read: int, *, failed: int = 0, **counts: int) -> dict[str, int]:
    """A sheet that adds up unless told otherwise."""
    return {"read": read, "failed": failed, "unchanged": read - failed, **counts}
