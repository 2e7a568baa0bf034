"""How values travel through Temporal: pydantic's JSON, and never an argument that can't be looked at.

Without it, one argument in an encoding nobody here knows makes a workflow's first task fail and repeat for ever;
so it is handed over raw, and the workflow refuses it in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter


class TolerantPayloadConverter(PydanticPayloadConverter):
    """Pydantic's, but that a value of no stated type which can't be decoded stays a RawValue."""

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Values of the stated types (raises what pydantic raises), or whatever is in them when none is stated."""
        if type_hints is not None:
            return super().from_payloads(payloads, type_hints)
        return [self._looked_at(payload) for payload in payloads]

    def _looked_at(self, payload: Payload) -> Any:
        try:
            return super().from_payloads([payload])[0]
        except Exception:  # noqa: BLE001 - the workflow says what is wrong with it
            return RawValue(payload)


DATA_CONVERTER = replace(pydantic_data_converter, payload_converter_class=TolerantPayloadConverter)
"""The data converter of every client and worker."""
