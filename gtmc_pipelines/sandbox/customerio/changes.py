"""Changing a workspace as its users and its audience would: people edited and deleted, mails opened, pages viewed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gtmc_pipelines.sandbox.customerio.messages import METRICS
from gtmc_pipelines.sandbox.customerio.workspace import Workspace
from gtmc_pipelines.sandbox.names import TITLES
from gtmc_pipelines.sandbox.options import SandboxMisuse
from gtmc_pipelines.sandbox.vendor import Mutation

_STRIDE = 7919
_NEXT_METRIC = {"opened": "clicked", "clicked": "converted"}


def change(workspace: Workspace, mutation: Mutation) -> list[str]:
    """Carry a mutation out; gives the ids changed. Raises SandboxMisuse for what this vendor doesn't have."""
    handler = _HANDLERS.get((mutation.object, mutation.action))
    if handler is None:
        known = ", ".join(f"{action} {kind}" for kind, action in _HANDLERS)
        raise SandboxMisuse(f"Customer.io can't {mutation.action} {mutation.object!r}; it can: {known}.")
    return handler(workspace, mutation)


def _create_people(workspace: Workspace, mutation: Mutation) -> list[str]:
    people = workspace.people
    chosen = range(people.next_index, people.next_index + mutation.count)
    for index in list(chosen):
        people.write(index, _texts(mutation), mutation.stamp_ms // 1000)
    return [people.cio_id(index) for index in chosen]


def _update_people(workspace: Workspace, mutation: Mutation) -> list[str]:
    people, values = workspace.people, _texts(mutation)
    chosen = _chosen_people(workspace, mutation)
    for index in chosen:
        title = people.customer(index)["attributes"].get("title")
        touched: dict[str, str | None] = {"title": next(one for one in TITLES if one != title)}
        people.write(index, values or touched, mutation.stamp_ms // 1000)
    return [people.cio_id(index) for index in chosen]


def _delete_people(workspace: Workspace, mutation: Mutation) -> list[str]:
    people = workspace.people
    chosen = _chosen_people(workspace, mutation)
    for index in chosen:
        people.write(index, {}, mutation.stamp_ms // 1000, is_deleted=True)
    return [people.cio_id(index) for index in chosen]


def _create_messages(workspace: Workspace, mutation: Mutation) -> list[str]:
    messages, stamp = workspace.messages, mutation.stamp_ms // 1000
    fields = dict(mutation.fields)
    patch: dict[str, Any] = {"type": str(fields.pop("type", "email"))}
    person = _named_person(workspace, fields.pop("cio_id", None))
    if fields:
        patch["metrics"] = {"created": stamp, **_times(fields)}
    live = _live_people(workspace, mutation.count)
    made = [
        messages.create(stamp, {**patch, "person": live[turn] if person is None else person})
        for turn in range(mutation.count)
    ]
    return [messages.id_of(index) for index in made]


def _update_messages(workspace: Workspace, mutation: Mutation) -> list[str]:
    """Metrics that come in: those of `fields`, else the next one, at the time of the change."""
    messages, wanted = workspace.messages, _times(mutation.fields)
    if mutation.ids:
        chosen = [_found(messages.index_of(one), one) for one in mutation.ids]
    else:
        mails = (index for _, index in messages.timeline.newest_first() if _is_openable(workspace, index))
        chosen = [index for index, _ in zip(mails, range(mutation.count), strict=False)]
    for index in chosen:
        metrics = messages.record(index)["metrics"]
        name = "opened"
        while name in metrics and name in _NEXT_METRIC:
            name = _NEXT_METRIC[name]
        messages.fill(index, wanted or {name: mutation.stamp_ms // 1000})
    return [messages.id_of(index) for index in chosen]


def _create_activities(workspace: Workspace, mutation: Mutation) -> list[str]:
    activities, fields = workspace.activities, dict(mutation.fields)
    person = _named_person(workspace, fields.pop("cio_id", None))
    patch: dict[str, Any] = {"type": str(fields.pop("type", "event"))}
    data = fields.pop("data", None) or {"name": str(fields.pop("name", "form_submitted"))}
    live = _live_people(workspace, mutation.count)
    made = [
        activities.create(
            mutation.stamp_ms // 1000, {**patch, "data": data, "person": live[turn] if person is None else person}
        )
        for turn in range(mutation.count)
    ]
    return [activities.id_of(index) for index in made]


def _is_openable(workspace: Workspace, index: int) -> bool:
    record = workspace.messages.record(index)
    return bool(record["type"] == "email" and "sent" in record["metrics"] and "converted" not in record["metrics"])


def _chosen_people(workspace: Workspace, mutation: Mutation) -> list[int]:
    people = workspace.people
    if mutation.ids:
        chosen = [_found(people.index_of(one), one) for one in mutation.ids]
        gone = next((index for index in chosen if not people.is_live(index)), None)
        if gone is not None:
            raise SandboxMisuse(f"{people.cio_id(gone)!r} is deleted.")
        return chosen
    return _live_people(workspace, mutation.count)


def _live_people(workspace: Workspace, count: int) -> list[int]:
    """As many live people as wanted, others at each mutation; fewer are taken in turn again."""
    people = workspace.people
    total = people.next_index
    start = (len(people.patches) * _STRIDE + len(workspace.activities.patches)) % max(1, total)
    found = [index % total for index in range(start, start + total) if people.is_live(index % total)][:count]
    if not found:
        raise SandboxMisuse("There are no live people.")
    return [found[turn % len(found)] for turn in range(count)]


def _named_person(workspace: Workspace, cio_id: Any) -> int | None:
    return None if cio_id is None else _found(workspace.people.index_of(str(cio_id)), str(cio_id))


def _found(index: int | None, name: str) -> int:
    if index is None:
        raise SandboxMisuse(f"There is no {name!r} in this workspace.")
    return index


def _texts(mutation: Mutation) -> dict[str, str | None]:
    values = mutation.fields.items()
    if any(value is not None and not isinstance(value, str) for _, value in values):
        raise SandboxMisuse("Attribute values are texts, or null to remove one.")
    return dict(values)


def _times(fields: Any) -> dict[str, int]:
    if any(name not in METRICS or not isinstance(value, int) for name, value in fields.items()):
        raise SandboxMisuse(f"Metrics are unix seconds under one of: {', '.join(METRICS)}.")
    return dict(fields)


_HANDLERS: dict[tuple[str, str], Callable[[Workspace, Mutation], list[str]]] = {
    ("people", "create"): _create_people,
    ("people", "update"): _update_people,
    ("people", "delete"): _delete_people,
    ("people", "purge"): _delete_people,
    ("messages", "create"): _create_messages,
    ("messages", "update"): _update_messages,
    ("activities", "create"): _create_activities,
}
