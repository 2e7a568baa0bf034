"""The App API's exports: asked for, done at the next look, downloaded as CSV from an address of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.customerio.errors import ApiError, bad_request, not_found
from gtmc_pipelines.sandbox.customerio.filters import matches
from gtmc_pipelines.sandbox.customerio.reading import json_body
from gtmc_pipelines.sandbox.customerio.workspace import Export, Workspace

_SOURCES = ("newsletter_id", "campaign_id", "action_id", "transactional_message_id")
_DELIVERY_COLUMNS = ("id", "type", "recipient", "customer_id", "campaign_id", "newsletter_id", "created")


async def export_customers(request: Request, workspace: Workspace) -> Response:
    """`POST /v1/exports/customers`."""
    wish = (await json_body(request)).get("filters")
    if wish is None:
        raise bad_request("filters is required")
    people = workspace.people
    everybody = (people.customer(index)["attributes"] for index in people.live())
    return _added(workspace, "customers", [one for one in everybody if matches(wish, one)])


async def export_deliveries(request: Request, workspace: Workspace) -> Response:
    """`POST /v1/exports/deliveries`: of one newsletter, campaign, action or transactional message."""
    body = await json_body(request)
    chosen = [name for name in _SOURCES if body.get(name) is not None]
    if len(chosen) != 1:
        raise bad_request(f"exactly one of {', '.join(_SOURCES)} is required")
    low, high = int(body.get("start") or 0), int(body.get("end") or 2**53)
    log, rows = workspace.messages, []
    for at, index in log.timeline.newest_first():
        record = log.record(index)
        if low <= at <= high and record.get(chosen[0]) == body[chosen[0]]:
            rows.append({name: record[name] for name in _DELIVERY_COLUMNS} | record["metrics"])
    return _added(workspace, "deliveries", rows)


async def exports(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/exports`."""
    return JSONResponse({"exports": [_shown(workspace, number) for number in workspace.exports]})


async def export(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/exports/{id}`: pending when it was made, done when it is asked for."""
    number = _number(request, workspace)
    workspace.exports[number].is_done = True
    return JSONResponse({"export": _shown(workspace, number)})


async def download(request: Request, workspace: Workspace) -> Response:
    """`GET /v1/exports/{id}/download`: the address of the file."""
    number = _number(request, workspace)
    found = workspace.exports[number]
    if not found.is_done:
        raise ApiError(404, "export is not ready")
    found.downloads += 1
    url = request.url.replace(path=f"/downloads/{workspace.name}/{number}/{workspace.download_token}", query="")
    return JSONResponse({"url": str(url)})


def file_of(workspace: Workspace | None, number: int, token: str) -> Response:
    """The file behind a download's address, which needs no key."""
    found = workspace.exports.get(number) if workspace else None
    if workspace is None or found is None or token != workspace.download_token:
        return not_found().response()
    columns = list(dict.fromkeys(name for row in found.rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, restval="")
    writer.writeheader()
    writer.writerows(found.rows)
    return Response(out.getvalue(), media_type="text/csv")


def _added(workspace: Workspace, kind: str, rows: list[Mapping[str, Any]]) -> Response:
    number = len(workspace.exports) + 1
    workspace.exports[number] = Export(kind, rows)
    return JSONResponse({"export": _shown(workspace, number)})


def _shown(workspace: Workspace, number: int) -> dict[str, Any]:
    found = workspace.exports[number]
    return {
        "id": number,
        "type": found.kind,
        "status": "done" if found.is_done else "pending",
        "total": len(found.rows),
        "failed": False,
        "description": f"Export of {found.kind}",
        "downloads": found.downloads,
        "created_at": workspace.anchor,
        "updated_at": workspace.anchor,
        "user_id": 1,
        "user_email": f"admin@{workspace.name}.example",
    }


def _number(request: Request, workspace: Workspace) -> int:
    number = int(request.path_params["export"])
    if number not in workspace.exports:
        raise not_found()
    return number
