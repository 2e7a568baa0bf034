"""Queries the vendor finds too much: too long, or with too many fields."""

from __future__ import annotations

from gtmc_pipelines.sandbox.salesforce.errors import ApiError
from gtmc_pipelines.sandbox.salesforce.soql import Query, parse
from gtmc_pipelines.sandbox.vendor import Exchange

MOST_CHARACTERS = 100_000


def parsed(text: str, exchange: Exchange, org: str) -> Query:
    """The query. Raises ApiError MALFORMED_QUERY or QUERY_TOO_COMPLICATED."""
    if len(text) > MOST_CHARACTERS:
        raise ApiError(400, "MALFORMED_QUERY", f"SOQL statements cannot be longer than {MOST_CHARACTERS} characters.")
    query = parse(text)
    knob = exchange.knobs.standing("query_too_complicated", exchange.entry.vendor, org)
    if knob is not None and len(query.fields) > int(knob.parameters.get("fields", 200)):
        exchange.entry.faults.append(knob.fault)
        raise ApiError(
            400,
            "QUERY_TOO_COMPLICATED",
            "Query is either selecting too many fields or the filter conditions are too complicated.",
        )
    return query
