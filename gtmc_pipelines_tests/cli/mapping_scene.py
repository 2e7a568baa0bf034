"""A Salesforce connector whose raw rows are there already: what the tests of `gtmc mappings` begin with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows, run

STAMP = datetime(2026, 1, 1, tzinfo=UTC)

_LAND = """
INSERT INTO raw.salesforce_contacts (tenant_id, external_id, payload, content_hash, source_updated_at)
VALUES (%(tenant)s, %(id)s, %(payload)s::jsonb, '\\x00', %(at)s)
ON CONFLICT (tenant_id, external_id) DO UPDATE SET payload = excluded.payload
"""
PEOPLE = """SELECT external_id, first_name, last_name, email, title, xmin::text AS version FROM people
WHERE tenant_id = %(tenant)s"""


@dataclass
class MappingScene:
    """One connector, and the commands about its mappings."""

    database: Database
    tenant: str
    row: ConnectorRow
    folder: Path

    def land(self, count: int, **fields: Any) -> None:
        """Raw contacts, as an earlier sync left them; `fields` in all of them."""
        with self.database.tenant(self.tenant) as handle:
            for n in range(count):
                record = {"Id": f"003{n:05}", "FirstName": "Ana", "LastName": f"Silva{n}", "Title": "cto"} | fields
                values = {"tenant": self.tenant, "id": record["Id"], "payload": json.dumps(record), "at": STAMP}
                run(handle, _LAND, values)

    def people(self) -> dict[str, dict[str, Any]]:
        """The canonical people by external id."""
        with self.database.tenant(self.tenant) as handle:
            return {row["external_id"]: row for row in rows(handle, PEOPLE, {"tenant": self.tenant})}

    def file(self, content: Any) -> str:
        """A file with this content: text as it is, anything else as JSON."""
        path = self.folder / "mapping"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def run(self, verb: str, *more: str, stdin: str | None = None) -> Result:
        """`gtmc mappings VERB` for this connector, whatever comes of it."""
        words = ["mappings", verb, "--tenant", self.tenant, "--connector", "salesforce", *more]
        return CliRunner().invoke(app, words, input=stdin)

    def done(self, verb: str, *more: str, stdin: str | None = None) -> Result:
        """The same, which must succeed."""
        result = self.run(verb, *more, stdin=stdin)
        assert result.exception is None, result.exception
        return result

    def asked(self, verb: str, *more: str) -> Any:
        """What it prints with --json."""
        return json.loads(self.done(verb, *more, "--json").stdout)

    def refused(self, verb: str, *more: str, stdin: str | None = None) -> GtmcError:
        """The error it must end with."""
        result = self.run(verb, *more, stdin=stdin)
        assert isinstance(result.exception, GtmcError), result.output
        return result.exception

    def person(self, **changes: Any) -> list[dict[str, Any]]:
        """The person's entries in force, with `targetField=changes` over them."""
        entries: list[dict[str, Any]] = self.asked("show", "--entity", "person")
        return [entry | changes.get(entry["targetField"], {}) for entry in entries]


def custom(expression: str) -> dict[str, str]:
    """What makes an entry a custom one."""
    return {"transform": "custom", "customTransform": expression}
