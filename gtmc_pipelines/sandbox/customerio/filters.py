"""The filter tree of a people search: and, or, not, segment, attribute; there is no operator for dates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gtmc_pipelines.sandbox.customerio.errors import bad_request

SEGMENTS: Mapping[int, tuple[str, str, Any]] = {
    1: ("Everyone", "dynamic", {"attribute": {"field": "cio_id", "operator": "exists"}}),
    2: ("Trials", "dynamic", {"attribute": {"field": "plan", "operator": "eq", "value": "trial"}}),
    3: ("Nobody yet", "manual", {"or": []}),
}
"""Segment id to name, type and the filter behind it."""

EVERYBODY = {"and": [{"attribute": {"field": "cio_id", "operator": "exists"}}]}


def matches(node: Any, attributes: Mapping[str, Any]) -> bool:
    """Whether a person with these attributes is found. Raises ApiError 400 for a tree that is none."""
    if not isinstance(node, dict) or len(node) != 1:
        raise bad_request("filter: each node needs exactly one of and, or, not, segment, attribute")
    ((kind, inside),) = node.items()
    if kind in ("and", "or") and isinstance(inside, list):
        found = [matches(child, attributes) for child in inside]
        return all(found) if kind == "and" else any(found)
    if kind == "not":
        return not matches(inside, attributes)
    if kind == "segment" and isinstance(inside, dict) and inside.get("id") in SEGMENTS:
        return matches(SEGMENTS[inside["id"]][2], attributes)
    if kind == "attribute" and isinstance(inside, dict):
        return _attribute(inside, attributes)
    raise bad_request("filter: unknown node or segment")


def _attribute(wish: Mapping[str, Any], attributes: Mapping[str, Any]) -> bool:
    value = attributes.get(str(wish.get("field")))
    if wish.get("operator") == "exists":
        return value not in (None, "")
    if wish.get("operator") == "eq":
        return bool(value == wish.get("value"))
    raise bad_request("filter: operator must be eq or exists")
