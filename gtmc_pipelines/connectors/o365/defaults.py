"""Office 365's default mapping: an e-mail's metadata becomes one activity. README.md has it field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.model.entities import Entity

_DETAILS = (
    "{'direction': record.direction, 'participant_count': record.participantCount,"
    " 'conversation_id': record.conversationId}"
)

DEFAULT_MAPPINGS: Mapping[Entity, Sequence[MappingEntry]] = {
    Entity.ACTIVITY: (
        MappingEntry("direction", "type", Transform.CUSTOM, "'email_thread'", required=True),
        MappingEntry("direction", "channel", Transform.CUSTOM, "'email'", required=True),
        MappingEntry("occurredAt", "occurredAt", required=True),
        MappingEntry("contact", "personExternalId", Transform.CUSTOM, "email(value)"),
        MappingEntry("direction", "properties", Transform.CUSTOM, _DETAILS),
    )
}
