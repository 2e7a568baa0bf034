"""One line of a field mapping, as the platform documents and stores it (reference/domain.md, section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Transform(StrEnum):
    """The five documented transforms."""

    NONE = "none"
    LOWERCASE = "lowercase"
    UPPERCASE = "uppercase"
    TRIM = "trim"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """`source_field` (dotted path) fills `target_field` after `transform`.

    `custom_transform` is a CEL expression over `value` and `record`. `stream` limits the entry to one
    stream of the connector (ours: Salesforce tasks and events are one entity with different fields);
    None means all streams of the entity.
    """

    source_field: str
    target_field: str
    transform: Transform = Transform.NONE
    custom_transform: str | None = None
    required: bool = False
    stream: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The documented JSON shape; optional keys only when set."""
        entry: dict[str, Any] = {
            "sourceField": self.source_field,
            "targetField": self.target_field,
            "transform": self.transform.value,
        }
        if self.custom_transform is not None:
            entry["customTransform"] = self.custom_transform
        if self.required:
            entry["required"] = True
        if self.stream is not None:
            entry["stream"] = self.stream
        return entry

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> MappingEntry:
        """From the documented JSON shape. Validation with positions is `mapping.validate`'s job."""
        return cls(
            source_field=str(entry["sourceField"]),
            target_field=str(entry["targetField"]),
            transform=Transform(entry.get("transform", "none")),
            custom_transform=entry.get("customTransform"),
            required=bool(entry.get("required", False)),
            stream=entry.get("stream"),
        )
