"""What a request to the imitated Delivr.ai asks: numbers, times and cursors, and how refusals are worded."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse


class Refused(Exception):
    """An error answer: `{"error": text}` and what else belongs to it."""

    def __init__(self, status: int, error: str, headers: Mapping[str, str] | None = None, /, **more: str) -> None:
        super().__init__(error)
        self.status, self.error, self.headers, self.more = status, error, dict(headers or {}), more

    def response(self) -> JSONResponse:
        """The answer."""
        return JSONResponse({"error": self.error, **self.more}, self.status, self.headers)


def whole(text: Any, name: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds. Raises Refused 400."""
    if text is None or text == "":
        return default
    if isinstance(text, bool) or not str(text).isdigit() or not least <= int(text) <= most:
        raise Refused(400, f"{name} must be between {least} and {most}")
    return int(text)


def moment(text: str | None, name: str) -> int | None:
    """Unix milliseconds of an ISO time, a date or unix seconds. Raises Refused 400."""
    if text is None or text == "":
        return None
    if text.isdigit():
        return int(text) * 1000
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(400, f"{name} is not a time") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return int(found.timestamp() * 1000)


def cursor_of(place: list[int]) -> str:
    """An opaque cursor for a place."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def place_of(cursor: str | None, size: int) -> list[int] | None:
    """The place behind a cursor; None without one. Raises Refused 400 for a foreign one."""
    if not cursor:
        return None
    text = cursor.partition(".")[0]
    try:
        place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        place = None
    if not isinstance(place, list) or len(place) != size or not all(isinstance(part, int) for part in place):
        raise Refused(400, "invalid cursor")
    return place


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body. Raises Refused 400."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise Refused(400, "invalid JSON body") from None
    if not isinstance(body, dict):
        raise Refused(400, "invalid JSON body")
    return body
