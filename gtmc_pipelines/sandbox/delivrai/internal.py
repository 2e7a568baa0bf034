"""The platform's own contract of the imitated Delivr.ai: health, intent signals, company enrichment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.delivrai import bend
from gtmc_pipelines.sandbox.delivrai.asked import cursor_of, moment, place_of, whole
from gtmc_pipelines.sandbox.vendor import exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.delivrai.vendor import DelivraiVendor

_PAGE, _MOST = 100, 500


class InternalPages:
    """Answers to `X-Api-Key` alone."""

    def __init__(self, vendor: DelivraiVendor) -> None:
        self._vendor = vendor

    async def health(self, request: Request) -> Response:
        """That the key works."""
        self._vendor.authorized(request, needs_secret=False)
        return JSONResponse({"status": "ok"})

    async def signals(self, request: Request) -> Response:
        """Signals since a time, oldest first."""
        org, asked = self._vendor.authorized(request, needs_secret=False), request.query_params
        limit = whole(asked.get("limit"), "limit", _PAGE, 1, _MOST)
        since = moment(asked.get("since"), "since") or 0
        below = moment(asked.get("until"), "until")
        place = place_of(asked.get("cursor"), 2) or [since, -1]
        keys = org.signals.after((place[0], place[1]), below, limit + 1)
        more = len(keys) > limit
        keys = keys[:limit]
        document = {
            "data": [org.signals.record(number) for _, number in keys],
            "nextCursor": cursor_of(list(keys[-1])) if more else None,
        }
        return bend.page(document, exchange_of(request), org.name, "data", "nextCursor", cursor_of(place))

    async def companies(self, request: Request) -> Response:
        """Enriched companies."""
        org, asked = self._vendor.authorized(request, needs_secret=False), request.query_params
        limit = whole(asked.get("limit"), "limit", _PAGE, 1, _MOST)
        place = place_of(asked.get("cursor"), 1) or [0]
        numbers = org.companies.live(place[0], limit + 1)
        document = {
            "data": [org.companies.record(number) for number in numbers[:limit]],
            "nextCursor": cursor_of([numbers[limit]]) if len(numbers) > limit else None,
        }
        return bend.page(document, exchange_of(request), org.name, "data", "nextCursor", cursor_of(place))
