"""Compares canonical rows with what a sandbox vendor says is true, table by table, value by value."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from gtmc_pipelines.cli.truth import customerio, delivrai, fathom, o365, salesforce
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.storage.canonical_rows import live_rows
from gtmc_pipelines.storage.engine import Database

Records = Callable[[str], Iterable[Mapping[str, Any]]]
"""Live records of one vendor object, as the vendor's API words them."""

Expected = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""table → external id → column → value."""

EXPECTATIONS: dict[ConnectorType, Callable[[Records], Expected]] = {
    ConnectorType.SALESFORCE: salesforce.expected,
    ConnectorType.CUSTOMERIO: customerio.expected,
    ConnectorType.DELIVRAI: delivrai.expected,
    ConnectorType.O365: o365.expected,
    ConnectorType.FATHOM: fathom.expected,
}


@dataclass(slots=True)
class Verdict:
    """What a comparison found. `differences` names table, external id and column, never a value."""

    rows: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def is_true(self) -> bool:
        """True when every row and every compared value agrees."""
        return not self.differences


def compare(database: Database, tenant_id: str, connector: ConnectorType, records: Records) -> Verdict:
    """Compare all canonical tables one connector feeds, for one tenant."""
    verdict = Verdict()
    for table, wanted in EXPECTATIONS[connector](records).items():
        columns = list(next(iter(wanted.values()), {}))
        found = live_rows(database, tenant_id, table, connector, columns)
        verdict.rows += len(found)
        verdict.differences += [f"{table} {key}: missing" for key in wanted.keys() - found.keys()]
        verdict.differences += [f"{table} {key}: not at the vendor" for key in found.keys() - wanted.keys()]
        for key in wanted.keys() & found.keys():
            verdict.differences += [
                f"{table} {key}: {column} differs" for column in columns if wanted[key][column] != found[key][column]
            ]
    return verdict


def sandbox_records(url: str, org: str, ca_file: Path | None) -> Records:
    """Records from `/_sandbox/truth` of a sandbox vendor at `url`, numbers as Decimal."""
    context = ssl.create_default_context(cafile=str(ca_file)) if url.startswith("https") else None

    def records(kind: str) -> Iterator[Mapping[str, Any]]:
        query = urlencode({"org": org, "object": kind, "format": "ndjson"})
        with urllib.request.urlopen(f"{url}/_sandbox/truth?{query}", context=context, timeout=60) as answer:  # noqa: S310
            for line in answer:
                yield json.loads(line, parse_float=Decimal)

    return records
