"""What a workflow is started with, understood or refused: our own form, and the one the platform documents.

Our own form is the dataclasses of workflows.inputs. It says its version: of a newer version unknown keys are
ignored, so that an older worker serves it during a deploy; of ours or an older one nothing may be unknown. The
documented form (camelCase, see workflows/README.md) has no version and no unknown keys. Deterministic and pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.workflows.inputs import INPUT_VERSION, OUTSIDE, ScheduledRequest, SyncRequest

T = TypeVar("T", SyncRequest, ScheduledRequest)

BAD_INPUT = "bad_input"
"""Type of the failure a workflow ends with when it doesn't understand what it was started with."""

REFUSES = "refuses-what-it-does-not-understand"
"""Patch: workflows that began before this ignored unknown keys, and go on so."""

_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Key:
    """A documented key: how its value is checked (what is wrong with it, or None), and whether it must be there."""

    check: Callable[[Any], str | None]
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How the input of one workflow looks."""

    workflow: str
    request: type[T]
    keys: Mapping[str, Key]
    build: Callable[[Mapping[str, Any]], T]

    def understood(self, given: Sequence[Any]) -> T:
        """The request. Raises Misuse `bad_input` naming every key that is wrong; values are never repeated."""
        value = self._only(given)
        if "tenant_id" in value:
            return self._own(value)
        problems = [self._unknown(key, self.keys) for key in value if key not in self.keys]
        problems += [f"{key} is missing" for key, rule in self.keys.items() if rule.is_required and key not in value]
        wrong = {key: rule.check(value[key]) for key, rule in self.keys.items() if key in value}
        problems += [f"{key} {why}" for key, why in wrong.items() if why]
        if problems:
            raise self._refused(problems)
        return self._checked(self.build(value))

    def leniently(self, given: Sequence[Any]) -> T:
        """As before version 1: unknown keys are ignored. Only for workflows that began then."""
        return TypeAdapter(self.request).validate_python(given[0])

    def _only(self, given: Sequence[Any]) -> Mapping[str, Any]:
        if len(given) != 1:
            raise self._refused([f"it takes one object, and got {len(given)} arguments"])
        if not isinstance(given[0], dict):
            raise self._refused(["it takes one JSON object, and got something else"])
        return given[0]

    def _own(self, value: Mapping[str, Any]) -> T:
        known = [field.name for field in fields(self.request)]
        version = value.get("version", 0)
        is_newer = isinstance(version, int) and version > INPUT_VERSION
        problems = [] if is_newer else [self._unknown(key, known) for key in value if key not in known]
        if problems:
            raise self._refused(problems)
        try:
            return self._checked(TypeAdapter(self.request).validate_python(value))
        except ValidationError as error:
            places = [".".join(str(part) for part in item["loc"]) for item in error.errors()]
            raise self._refused([f"{place[:80]} is missing or of the wrong type" for place in places]) from None

    def _checked(self, request: T) -> T:
        if isinstance(request, SyncRequest):
            named = {"the tenant's id": request.tenant_id, "the connector's id": request.connector_id}
            problems = [f"{what} is empty" for what, text in named.items() if not text.strip()]
        else:
            problems = (
                ["it names a tenant and asks for all tenants"] if request.tenant_id and request.all_tenants else []
            )
        if problems:
            raise self._refused(problems)
        return request

    def _unknown(self, key: Any, known: Any) -> str:
        return f"{str(key)[:40]!r} is no key of it (it has: {', '.join(known)})"

    def _refused(self, problems: Sequence[str]) -> Misuse:
        return Misuse(
            BAD_INPUT,
            f"The input of {self.workflow} isn't understood: {'; '.join(problems)}.",
            next_step="Start it again with the documented input: gtmc_pipelines/workflows/README.md.",
        )


def _is_id(value: Any) -> str | None:
    is_good = isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST_ID
    return None if is_good else f"must be a text of 1 to {_LONGEST_ID} characters"


def _is_bool(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _is_true(value: Any) -> str | None:
    return None if value is True else "can only be true: leave it out and name a tenantId instead"


def _is_type(value: Any) -> str | None:
    return None if value in list(ConnectorType) else f"must be one of {', '.join(ConnectorType)}"


def _mode(value: Mapping[str, Any]) -> SyncMode:
    return SyncMode.FULL if value.get("fullSync") else SyncMode.INCREMENTAL


def _sync(value: Mapping[str, Any]) -> SyncRequest:
    return SyncRequest(value["tenantId"], value["connectorId"], None, _mode(value), requested_by=OUTSIDE)


def _renormalize(value: Mapping[str, Any]) -> SyncRequest:
    mode, trigger = SyncMode.FULL, Trigger.RENORMALIZE
    return SyncRequest(value["tenantId"], value["connectorId"], None, mode, trigger=trigger, requested_by=OUTSIDE)


def _scheduled(value: Mapping[str, Any]) -> ScheduledRequest:
    kind = ConnectorType(value["connectorType"]) if "connectorType" in value else None
    is_for_all = bool(value.get("allTenants"))
    return ScheduledRequest(value.get("tenantId", ""), kind, _mode(value), all_tenants=is_for_all)


_NAMED = {"tenantId": Key(_is_id, is_required=True), "connectorId": Key(_is_id, is_required=True)}
SYNC_FORM = Form("ConnectorSyncWorkflow", SyncRequest, {**_NAMED, "fullSync": Key(_is_bool)}, _sync)
RENORMALIZE_FORM = Form("RenormalizeWorkflow", SyncRequest, _NAMED, _renormalize)
SCHEDULED_FORM = Form(
    "ScheduledSyncWorkflow",
    ScheduledRequest,
    {
        "tenantId": Key(_is_id),
        "allTenants": Key(_is_true),
        "connectorType": Key(_is_type),
        "fullSync": Key(_is_bool),
    },
    _scheduled,
)
