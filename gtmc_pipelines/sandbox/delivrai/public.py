"""The vendor's public API as far as the sandbox speaks it: whoami, events, intent, audience records, contacts."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.delivrai import bend
from gtmc_pipelines.sandbox.delivrai.asked import Refused, body_of, cursor_of, moment, place_of, whole
from gtmc_pipelines.sandbox.delivrai.org import Org
from gtmc_pipelines.sandbox.vendor import exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.delivrai.vendor import DelivraiVendor

TIERS = ("web_event", "resolution_hem", "resolution_hem_pte", "resolution_full_profile")
_LONGEST_WINDOW_MS = 25 * 3_600_000


class PublicPages:
    """Answers to `X-Api-Key` with `X-Api-Secret`."""

    def __init__(self, vendor: DelivraiVendor) -> None:
        self._vendor = vendor

    async def whoami(self, request: Request) -> Response:
        """Whose key this is; free."""
        org = self._vendor.authorized(request)
        answer = {
            "api_client_id": org.client_id,
            "organization": {"organization_id": org.id, "name": org.name.title()},
            "projects": [{"project_id": org.project_id, "name": "Website"}],
        }
        return JSONResponse({"response": answer})

    async def events(self, request: Request) -> Response:
        """Page views of a window of at most 25 hours, by limit and offset."""
        if request.path_params.get("tier", TIERS[0]) not in TIERS:
            raise Refused(404, "not found")
        org, asked = self._vendor.authorized(request), request.query_params
        start, end, scope = self._window(request, org)
        limit = whole(asked.get("limit"), "limit", 100, 1, 1_000)
        offset = whole(asked.get("offset"), "offset", 0, 0, 1_000_000_000)
        if asked.get("dry_run") == "true":
            return JSONResponse(_preview("events", limit, "upper_bound", {"limit": limit}))
        keys = list(org.signals.window(start, end + 1))[offset : offset + limit]
        is_enriched = asked.get("include_enrichment") == "true" or "full_profile" in request.url.path
        document = {
            "index_name": scope,
            "index_value": asked[scope],
            "start_ms": start,
            "end_ms": end,
            "limit": limit,
            "offset": offset,
            "rows": [
                _projected(org.signals.event(number, is_enriched=is_enriched), asked.get("select"))
                for _, number in keys
            ],
            "meta": {"files_scanned": 4, "buckets_scanned": 1, "took_ms": 35},
        }
        return bend.page(document, exchange_of(request), org.name, "rows", "next_cursor", "")

    async def event_counts(self, request: Request) -> Response:
        """How many events a window holds."""
        org = self._vendor.authorized(request)
        start, end, _ = self._window(request, org)
        count = sum(1 for _ in org.signals.window(start, end + 1))
        return JSONResponse({"count": count, "meta": {"files_scanned": 4, "buckets_scanned": 1, "took_ms": 3}})

    async def topic_companies(self, request: Request) -> Response:
        """Companies with intent on a topic, best first."""
        org, body = self._vendor.authorized(request), await body_of(request)
        return self._ranked(request, org, body, [org.companies.hit(one) for one in org.companies.live(0, 10**9)])

    async def topic_people(self, request: Request) -> Response:
        """People with intent on a topic, best first, by hashed e-mail."""
        org, body = self._vendor.authorized(request), await body_of(request)
        people = []
        for number in range(min(500, len(org.signals))):
            email = org.world.person(number).email
            hem = hashlib.sha256(email.encode()).hexdigest()
            score = 99 - number * 60 // 500
            people.append(
                {"hem": hem, "score": "high" if score > 75 else "medium", "perc_score": score, "seen_email": email}
            )
        return self._ranked(request, org, body, people)

    async def company(self, request: Request) -> Response:
        """Topics of one company."""
        org, body = self._vendor.authorized(request), await body_of(request)
        known = {org.world.company(one).domain for one in org.companies.live(0, 10**9)}
        domain = str(body.get("domain") or "").lower()
        topic = {"topic_id": "4eyes_112", "topic_name": "Pricing", "score": "high", "perc_score": 91, "people_count": 3}
        matched = domain in known
        answer = {
            "id": body.get("id"),
            "matched": matched,
            "matched_on": "domain" if matched else None,
            "topics": [topic] if matched else [],
        }
        exchange_of(request).served(1, org.name)
        return JSONResponse({"response": answer, "as_of": _as_of()})

    async def audience_records(self, request: Request) -> Response:
        """Records of an audience."""
        org, asked = self._vendor.authorized(request), request.query_params
        exchange = exchange_of(request)
        if exchange.struck("not_ready", org.name):
            raise Refused(409, "not_ready", status="Syncing", message="The audience is being built.")
        place = place_of(asked.get("cursor"), 1)
        if place and exchange.struck("cursor_stale", org.name):
            raise Refused(409, "cursor_stale", status="Completed", message="The audience was rebuilt.")
        size = whole(asked.get("page_size"), "page_size", 1_000, 1, 5_000)
        place = place or [0]
        numbers = org.companies.live(place[0], size + 1)
        document: dict[str, Any] = {
            "audience_id": str(request.path_params["audience"]),
            "count": len(org.companies) - len(org.companies.gone),
            "results": [org.companies.member(number) for number in numbers[:size]],
        }
        if len(numbers) > size:
            document["next_cursor"] = cursor_of([numbers[size]])
        return bend.page(document, exchange, org.name, "results", "next_cursor", cursor_of(place))

    async def contacts(self, request: Request) -> Response:
        """What is known of people by e-mail."""
        org, body = self._vendor.authorized(request), await body_of(request)
        emails = body.get("emails")
        if not isinstance(emails, list) or not 1 <= len(emails) <= 1_000:
            raise Refused(400, "emails must hold 1 to 1000 addresses")
        size = whole(body.get("page_size"), "page_size", 100, 1, 1_000)
        offset = (place_of(body.get("cursor"), 1) or [0])[0]
        known = {org.world.company(one).domain: one for one in org.companies.live(0, 10**9)}
        hits = [email for email in emails if str(email).rpartition("@")[2] in known]
        page = [
            {"current_business_email": email, **org.companies.member(known[email.rpartition("@")[2]])}
            for email in hits[offset : offset + size]
        ]
        usage = {"records_returned": len(page), "monthly_used": len(page), "monthly_limit": 100_000}
        document: dict[str, Any] = {"records": page, "count": len(page), "usage": usage}
        if offset + size < len(hits):
            document["cursor"] = cursor_of([offset + size])
        return bend.page(document, exchange_of(request), org.name, "records", "cursor", cursor_of([offset]))

    def _ranked(self, request: Request, org: Org, body: dict[str, Any], hits: list[dict[str, Any]]) -> Response:
        if not isinstance(body.get("topic_id"), str):
            raise Refused(400, "topic_id is required")
        if body.get("dry_run"):
            return JSONResponse(_preview("intent", len(hits), "exact", {"limit": len(hits)}))
        size = whole(body.get("page_size"), "page_size", 50, 1, 500)
        place = place_of(body.get("cursor"), 1)
        exchange = exchange_of(request)
        if place and exchange.struck("cursor_stale", org.name):
            raise Refused(409, "cursor_stale", status="Completed", message="The data was rebuilt.")
        offset = (place or [0])[0]
        inner: dict[str, Any] = {"topic_id": body["topic_id"], "results": hits[offset : offset + size]}
        if place is None:
            inner["count"] = len(hits)
        if offset + size < len(hits):
            inner["next_cursor"] = cursor_of([offset + size])
        document = {"response": inner, "as_of": _as_of()}
        return bend.page(document, exchange, org.name, "results", "next_cursor", cursor_of([offset]))

    def _window(self, request: Request, org: Org) -> tuple[int, int, str]:
        asked = request.query_params
        scope = next((name for name in ("pixel_id", "project_id") if asked.get(name)), None)
        if scope is None:
            raise Refused(400, "pixel_id or project_id is required")
        if asked[scope] != (org.pixel_id if scope == "pixel_id" else org.project_id):
            raise Refused(403, "no access to this project")
        bounds = [
            whole(asked[f"{side}_ms"], f"{side}_ms", 0, 0, 10**14)
            if asked.get(f"{side}_ms")
            else moment(asked.get(f"{side}_time"), f"{side}_time")
            for side in ("start", "end")
        ]
        start, end = bounds
        if start is None or end is None:
            raise Refused(400, "start and end are required")
        if end < start or end - start > _LONGEST_WINDOW_MS:
            raise Refused(400, "time window must not exceed 25 hours")
        return start, end, scope


def _projected(row: dict[str, Any], select: str | None) -> dict[str, Any]:
    names = [name.strip() for name in select.split(",")] if select else list(row)
    return {name: row.get(name) for name in names}


def _preview(meter: str, records: int, fidelity: str, scope: dict[str, Any]) -> dict[str, Any]:
    return {
        "dry_run": True,
        "meter": meter,
        "records_to_charge": records,
        "records_fidelity": fidelity,
        "scope": scope,
    }


def _as_of() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT00:00:00Z")
