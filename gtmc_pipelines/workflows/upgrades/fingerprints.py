"""Fingerprints: whether stored rows were made by today's compiler and default mappings."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import cache
from hashlib import sha256
from typing import Any

from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.mapping.compile import COMPILER_VERSION, compile_mapping
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity

_LENGTH = 16


def fingerprint(connector: ConnectorType, saved: Collection[Entity], accepted: Mapping[Entity, str]) -> str:
    """Of the compiler, of the default mappings in force (not of entities in `saved`), and of `accepted` offers.

    A mapping its owner edits is left out: whether that reaches the stored rows is theirs to say
    (`gtmc mappings apply`).
    """
    in_force = {entity.value: text for entity, text in _of_defaults(connector).items() if entity not in saved}
    return digest([COMPILER_VERSION, in_force, {entity.value: version for entity, version in accepted.items()}])


@cache
def _of_defaults(connector: ConnectorType) -> Mapping[Entity, str]:
    vendor = connector_of(connector)
    defaults = vendor.default_mappings()
    found: dict[Entity, str] = {}
    for stream in vendor.streams:
        for entity in stream.entities:
            compiled = compile_mapping(entity, defaults[entity], stream.name, stream.prefix_of(entity))
            found[entity] = found.get(entity, "") + compiled.fingerprint.hex()
    return found


def digest(value: Any) -> str:
    """A short fingerprint of a JSON value."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_LENGTH]
