"""The App API's two logs: messages with their metrics, and activities."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.customerio import bend
from gtmc_pipelines.sandbox.customerio.errors import bad_request, not_found
from gtmc_pipelines.sandbox.customerio.messages import METRICS
from gtmc_pipelines.sandbox.customerio.people_pages import id_type, person_in_path
from gtmc_pipelines.sandbox.customerio.reading import limit_of, start_of, whole
from gtmc_pipelines.sandbox.customerio.timeline import Timeline, cursor_of
from gtmc_pipelines.sandbox.customerio.workspace import Workspace
from gtmc_pipelines.sandbox.vendor import exchange_of

TYPES = ("email", "webhook", "twilio", "slack", "push", "in_app")
SIX_MONTHS = 184 * 86_400

Record = dict[str, Any]
Wanted = Callable[[int, Record], bool]


async def messages(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/messages`, and the same below a campaign, a newsletter or a person."""
    low, high = _window(request)
    asked, people = request.query_params, workspace.people
    kind, metric = asked.get("type"), asked.get("metric")
    if kind not in (None, *TYPES) or metric not in (None, *METRICS):
        raise bad_request("type or metric is not one there is")
    below = request.path_params
    person = person_in_path(request, workspace) if "customer" in below else None
    ids = {name: whole(request, name, None) for name in ("campaign_id", "newsletter_id", "action_id")}
    if "parent" in below:
        if below["kind"] not in ("campaigns", "newsletters", "broadcasts"):
            raise not_found()
        ids[f"{below['kind'][:-1]}_id"] = int(below["parent"])

    def wanted(index: int, record: Record) -> bool:
        return (
            kind in (None, record["type"])
            and (metric is None or metric in record["metrics"])
            and all(value is None or record[name] == value for name, value in ids.items())
            and (person is None or record["customer_identifiers"] == people.identifiers(person))
        )

    limit = limit_of(request, 50, 1000)
    log = workspace.messages
    return _page(request, workspace, "messages", log.timeline, log.record, wanted, limit, (low, high))


async def message(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/messages/{id}`."""
    return JSONResponse({"message": _message(request, workspace)})


async def archived_message(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/messages/{id}/archived_message`: the rendered body, which nobody should read."""
    record = _message(request, workspace)
    body = {**record, "from": "news@sandbox.example", "body": "<p>SECRET-BODY</p>", "headers": []}
    return JSONResponse({"archived_message": body})


async def activities(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/activities`, and the same below a person: 10 to 100 a page, no filter by time."""
    asked = request.query_params
    kind, name = asked.get("type"), asked.get("name")
    person = _asked_person(request, workspace)
    with_deleted = asked.get("deleted") == "true"
    log, people = workspace.activities, workspace.people

    def wanted(index: int, record: Record) -> bool:
        owner = log.person_of(index)
        return (
            kind in (None, record["type"])
            and (name is None or record["data"].get("name") == name)
            and (person is None or owner == person)
            and (with_deleted or people.is_live(owner))
        )

    limit = limit_of(request, 10, 100)
    return _page(request, workspace, "activities", log.timeline, log.record, wanted, limit, (None, None))


def _page(
    request: Request,
    workspace: Workspace,
    key: str,
    timeline: Timeline,
    record_of: Callable[[int], Record],
    wanted: Wanted,
    limit: int,
    window: tuple[int | None, int | None],
) -> Response:
    low, high = window
    records: list[Record] = []
    last = more = None
    for position in timeline.newest_first(start_of(request), high):
        if low is not None and position[0] < low:
            break
        record = record_of(position[1])
        if not wanted(position[1], record):
            continue
        if len(records) == limit:
            more = last
            break
        records.append(record)
        last = position
    document: dict[str, Any] = {key: records, "next": cursor_of(more) if more else ""}
    before = workspace.last_served.get(key)
    workspace.last_served[key] = records[-3:]
    own = request.query_params.get("start", "")
    body = bend.page(document, key, exchange_of(request), workspace.name, own=own, last=before)
    return Response(body, media_type="application/json")


def _window(request: Request) -> tuple[int, int]:
    """Creation times wanted, both ends included; the latest six months when nothing is said."""
    high = whole(request, "end_ts", None) or int(time.time())
    low = whole(request, "start_ts", None)
    if low is None:
        low = high - SIX_MONTHS
    if high - low > SIX_MONTHS:
        raise bad_request("start_ts and end_ts may be at most 6 months apart")
    if high < low:
        raise bad_request("end_ts must not be before start_ts")
    return low, high


def _message(request: Request, workspace: Workspace) -> Record:
    index = workspace.messages.index_of(request.path_params["message"])
    if index is None:
        raise not_found()
    return workspace.messages.record(index)


def _asked_person(request: Request, workspace: Workspace) -> int | None:
    if "customer" in request.path_params:
        return person_in_path(request, workspace)
    wanted, kind = request.query_params.get("customer_id"), id_type(request)
    if not wanted:
        return None
    if kind == "cio_id" and not wanted.startswith("cio_"):
        raise bad_request("customer_id of type cio_id needs its cio_ prefix here")
    found = workspace.people.find(kind, wanted)
    return -1 if found is None else found
