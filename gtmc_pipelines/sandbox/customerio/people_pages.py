"""The App API's people: search, attributes, one person, segments."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.customerio import bend
from gtmc_pipelines.sandbox.customerio.errors import bad_request, not_found
from gtmc_pipelines.sandbox.customerio.filters import EVERYBODY, SEGMENTS, matches
from gtmc_pipelines.sandbox.customerio.reading import json_body, limit_of, start_of
from gtmc_pipelines.sandbox.customerio.timeline import cursor_of
from gtmc_pipelines.sandbox.customerio.workspace import Workspace
from gtmc_pipelines.sandbox.vendor import exchange_of

MOST_ATTRIBUTES = 100
ID_TYPES = ("id", "email", "cio_id")


async def search(request: Request, workspace: Workspace) -> Response:
    """`POST /v1/customers`: identifiers of those a filter finds, 50 to 1,000 a page."""
    limit, start = limit_of(request, 50, 1000), start_of(request)
    wish = (await json_body(request)).get("filter")
    if wish is None:
        raise bad_request("filter is required")
    people, found = workspace.people, []
    for index in people.live(start[1] if start else 0):
        if wish == EVERYBODY or matches(wish, people.customer(index)["attributes"]):
            found.append(index)
        if len(found) > limit:
            break
    identifiers = [people.identifiers(index) for index in found[:limit]]
    document: dict[str, Any] = {
        "identifiers": identifiers,
        "ids": [one["id"] or "" for one in identifiers],
        "next": cursor_of((0, found[limit])) if len(found) > limit else "",
    }
    last = workspace.last_served.get("identifiers")
    workspace.last_served["identifiers"] = identifiers[-3:]
    exchange, own = exchange_of(request), request.query_params.get("start", "")
    return _json(bend.page(document, "identifiers", exchange, workspace.name, own=own, last=last))


async def by_email(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/customers?email=`: exact match."""
    email = request.query_params.get("email")
    if not email:
        raise bad_request("email is required")
    found = workspace.people.find("email", email)
    return JSONResponse({"results": [] if found is None else [workspace.people.identifiers(found)]})


async def attributes(request: Request, workspace: Workspace) -> Response:
    """`POST /v1/customers/attributes`: up to 100 people; unknown ids are left out."""
    ids = (await json_body(request)).get("ids")
    if not isinstance(ids, list) or not 1 <= len(ids) <= MOST_ATTRIBUTES:
        raise bad_request(f"ids must have 1 to {MOST_ATTRIBUTES} entries")
    people, kind = workspace.people, id_type(request)
    known = (None if str(one).startswith("cio_") else people.find(kind, str(one)) for one in ids)
    document = {"customers": [people.customer(index) for index in known if index is not None]}
    return _json(bend.page(document, "customers", exchange_of(request), workspace.name))


async def one_person(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/customers/{id}/attributes`."""
    return JSONResponse({"customer": workspace.people.customer(person_in_path(request, workspace))})


async def person_segments(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/customers/{id}/segments`."""
    person = workspace.people.customer(person_in_path(request, workspace))["attributes"]
    return JSONResponse(
        {"segments": [_segment(workspace, number) for number in SEGMENTS if matches(SEGMENTS[number][2], person)]}
    )


async def relationships(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/customers/{id}/relationships`: this workspace has no objects."""
    person_in_path(request, workspace)
    return JSONResponse({"cio_relationships": [], "next": ""})


async def subscription_preferences(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/customers/{id}/subscription_preferences`: no topics are set up."""
    person = workspace.people.customer(person_in_path(request, workspace))
    body = {
        "id": person["id"],
        "unsubscribed": person["unsubscribed"],
        "topics": [],
        "identifiers": person["identifiers"],
    }
    return JSONResponse({"customer": body})


async def segments(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/segments`."""
    return JSONResponse({"segments": [_segment(workspace, number) for number in SEGMENTS]})


async def segment(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/segments/{id}`."""
    return JSONResponse({"segment": _segment(workspace, _segment_in_path(request))})


async def customer_count(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/segments/{id}/customer_count`."""
    number = _segment_in_path(request)
    return JSONResponse({"segment_id": number, "count": len(_members(workspace, number))})


async def membership(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/segments/{id}/membership`: an empty segment has null arrays."""
    number, limit, start = _segment_in_path(request), limit_of(request, 1000, 30_000), start_of(request)
    members = [index for index in _members(workspace, number) if start is None or index >= start[1]]
    identifiers = [workspace.people.identifiers(index) for index in members[:limit]]
    exchange_of(request).served(len(identifiers), workspace.name)
    return JSONResponse(
        {
            "segment_id": number,
            "ids": [one["id"] or "" for one in identifiers] or None,
            "identifiers": identifiers or None,
            "next": cursor_of((0, members[limit])) if len(members) > limit else "",
        }
    )


def id_type(request: Request, default: str = "id") -> str:
    """The kind of id a request uses. Raises ApiError 400."""
    kind = request.query_params.get("id_type", default)
    if kind not in ID_TYPES:
        raise bad_request(f"id_type must be one of {', '.join(ID_TYPES)}")
    return kind


def person_in_path(request: Request, workspace: Workspace) -> int:
    """The person a path names. Raises ApiError 404."""
    found = workspace.people.find(id_type(request), request.path_params["customer"])
    if found is None:
        raise not_found()
    return found


def _segment_in_path(request: Request) -> int:
    number = request.path_params["segment"]
    if not number.isdigit() or int(number) not in SEGMENTS:
        raise not_found()
    return int(number)


def _members(workspace: Workspace, number: int) -> list[int]:
    people, wish = workspace.people, SEGMENTS[number][2]
    return [index for index in people.live() if matches(wish, people.customer(index)["attributes"])]


def _segment(workspace: Workspace, number: int) -> dict[str, Any]:
    name, kind, _ = SEGMENTS[number]
    return {
        "id": number,
        "deduplicate_id": f"{number}:{workspace.anchor}",
        "name": name,
        "description": "",
        "state": "finished",
        "progress": None,
        "type": kind,
        "tags": None,
        "created_at": workspace.anchor - 400 * 86_400,
        "updated_at": workspace.anchor - 90 * 86_400,
    }


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
