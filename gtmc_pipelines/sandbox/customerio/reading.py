"""Reading a request's parameters as strictly as the vendor documents them."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from gtmc_pipelines.sandbox.customerio.errors import bad_request
from gtmc_pipelines.sandbox.customerio.timeline import Position, position_of


def whole(request: Request, name: str, default: int | None, least: int = 0, most: int = 2**53) -> int | None:
    """A whole number within bounds, the default when it isn't given. Raises ApiError 400."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if not text.isdigit() or not least <= int(text) <= most:
        raise bad_request(f"{name} must be a number from {least} to {most}")
    return int(text)


def limit_of(request: Request, default: int, most: int) -> int:
    """The page size asked for."""
    return whole(request, "limit", default, 1, most) or default


def start_of(request: Request) -> Position | None:
    """Where the page asked for begins. Raises ApiError 400 for a `start` that never was a `next`."""
    text = request.query_params.get("start")
    if not text:
        return None
    try:
        return position_of(text)
    except ValueError:
        raise bad_request("start is not valid") from None


async def json_body(request: Request) -> dict[str, Any]:
    """The JSON object sent. Raises ApiError 400."""
    try:
        value = json.loads(await request.body() or b"{}")
    except ValueError:
        raise bad_request("body is not valid JSON") from None
    if not isinstance(value, dict):
        raise bad_request("body must be an object")
    return value
