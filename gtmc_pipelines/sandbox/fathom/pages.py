"""Handlers of the imitated API: lists, transcripts and summaries of recordings, webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.dice import token
from gtmc_pipelines.sandbox.fathom import bend
from gtmc_pipelines.sandbox.fathom.asked import PAGE, BadRequest, Filters, cursor_of, includes, moment, page_number
from gtmc_pipelines.sandbox.fathom.meetings import ALL, START_SECONDS, TEAMS, TYPES, Includes, spelled
from gtmc_pipelines.sandbox.vendor import exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.fathom.account import Account
    from gtmc_pipelines.sandbox.fathom.vendor import FathomVendor

_WEBHOOK_KEYS = frozenset({"destination_url", "triggered_for", "include_transcript", "include_summary"}) | {
    "include_action_items",
    "include_crm_matches",
}
_TRIGGERS = frozenset(
    {"my_recordings", "shared_external_recordings", "my_shared_with_team_recordings", "shared_team_recordings"}
)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Refused(Exception):
    """An answer that is no success, in plain text: Fathom doesn't document its error bodies."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class ApiPages:
    """Handlers below `/external/v1`."""

    def __init__(self, vendor: FathomVendor) -> None:
        self._vendor = vendor

    async def meetings(self, request: Request) -> Response:
        """One page of meetings, newest first."""
        caller = self._vendor.admitted(request)
        asked, account, exchange = request.query_params, self._vendor.account(caller.account), exchange_of(request)
        wanted, filters, number = includes(asked), Filters.of(asked), page_number(asked)
        if caller.is_oauth and (wanted.transcript or wanted.summary):
            raise BadRequest("include_transcript and include_summary are not available to OAuth apps")
        after, before = moment(asked, "created_after"), moment(asked, "created_before")
        found = account.window(after, before)
        if number > 1 and found and (knob := exchange.struck("shift_pages", account.name)):
            for _ in range(int(knob.parameters.get("meetings", 1))):
                account.make(account.created(found[0]), {"title": "Shared later"})
            found = account.window(after, before)
        if not filters.is_open:
            found = [one for one in found if filters.accepts(account.document(one, Includes()))]
        start = (number - 1) * PAGE
        document = {
            "limit": PAGE,
            "next_cursor": cursor_of(number + 1) if start + PAGE < len(found) else None,
            "items": [account.document(one, wanted) for one in found[start : start + PAGE]],
        }
        return Response(bend.page(document, exchange, account.name, cursor_of(number)), media_type="application/json")

    async def transcript(self, request: Request) -> Response:
        """The transcript of a recording, here or POSTed to `destination_url`."""
        account, number = self._recording(request)
        struck = exchange_of(request).struck("late_transcript", account.name)
        said = None if struck else account.document(number, ALL)["transcript"]
        if said is None:
            raise Refused(404, "Transcript not found")
        return self._delivered(request, {"transcript": said})

    async def summary(self, request: Request) -> Response:
        """The summary of a recording, here or POSTed to `destination_url`."""
        account, number = self._recording(request)
        struck = exchange_of(request).struck("late_summary", account.name)
        summary = None if struck else account.document(number, ALL)["default_summary"]
        return self._delivered(request, {"summary": summary or {"template_name": None, "markdown_formatted": None}})

    async def teams(self, request: Request) -> Response:
        """Teams of the account."""
        self._vendor.admitted(request)
        return _listed(request, [{"name": name, "created_at": spelled(START_SECONDS)} for name in TEAMS])

    async def team_members(self, request: Request) -> Response:
        """Users, of one team if asked."""
        users = self._vendor.account(self._vendor.admitted(request).account).meetings.users
        team = request.query_params.get("team")
        return _listed(
            request,
            [
                {"name": user.name, "email": user.email, "created_at": spelled(START_SECONDS)}
                for user in users
                if team in (None, user.team)
            ],
        )

    async def users(self, request: Request) -> Response:
        """Users with their status; the key is an administrator's."""
        users = self._vendor.account(self._vendor.admitted(request).account).meetings.users
        common = {"created_at": spelled(START_SECONDS), "status": "active"}
        return _listed(request, [{"name": user.name, "email": user.email, **common} for user in users])

    async def meeting_types(self, request: Request) -> Response:
        """Types a meeting may have."""
        self._vendor.admitted(request)
        common = {"status": "active", "created_at": spelled(START_SECONDS)}
        return _listed(request, [{"name": name, **common} for name in TYPES])

    async def webhooks(self, request: Request) -> Response:
        """Register a webhook. Nothing is ever sent to it."""
        caller = self._vendor.admitted(request)
        try:
            wish = json.loads(await request.body() or b"{}")
        except ValueError:
            raise BadRequest("the body is not JSON") from None
        if not isinstance(wish, dict) or set(wish) - _WEBHOOK_KEYS or not wish.get("destination_url"):
            raise BadRequest("destination_url is needed, and no other keys than documented")
        flags = {name: wish.get(name) is True for name in sorted(_WEBHOOK_KEYS) if name.startswith("include_")}
        triggers = wish.get("triggered_for") or ["my_recordings"]
        if not any(flags.values()) or not set(triggers) <= _TRIGGERS:
            raise BadRequest("at least one include flag must be true, and triggered_for be of the documented ones")
        hook_id = self._vendor.add_webhook(caller.account)
        made = {"id": hook_id, "url": wish["destination_url"], "secret": f"whsec_{token(32, hook_id, 'hook')}"}
        return JSONResponse({**made, "created_at": spelled(START_SECONDS), **flags, "triggered_for": triggers}, 201)

    async def webhook(self, request: Request) -> Response:
        """Forget a webhook."""
        caller = self._vendor.admitted(request)
        if not self._vendor.drop_webhook(caller.account, request.path_params["hook"]):
            raise Refused(404, "Webhook not found")
        return Response(status_code=204)

    async def documented_user(self, request: Request) -> Response:
        """`GET /v1/user` with the key as bearer: what the product's own pages describe."""
        account = self._vendor.account(self._vendor.admitted(request).account)
        user = account.meetings.users[0]
        return JSONResponse({"name": user.name, "email": user.email})

    def _recording(self, request: Request) -> tuple[Account, int]:
        account = self._vendor.account(self._vendor.admitted(request).account)
        number = account.number_of(request.path_params["recording"])
        if number is None or not account.is_live(number):
            raise Refused(404, "Recording not found")
        exchange_of(request).served(1, account.name)
        return account, number

    def _delivered(self, request: Request, document: dict[str, Any]) -> Response:
        url = request.query_params.get("destination_url")
        if url is None:
            return JSONResponse(document)
        task = BackgroundTask(_post, url, document) if urlsplit(url).hostname in _LOOPBACK else None
        return JSONResponse({"destination_url": url}, background=task)


def _listed(request: Request, items: Sequence[dict[str, Any]]) -> Response:
    number = page_number(request.query_params)
    start = (number - 1) * PAGE
    following = cursor_of(number + 1) if start + PAGE < len(items) else None
    return JSONResponse({"limit": PAGE, "next_cursor": following, "items": list(items[start : start + PAGE])})


async def _post(url: str, document: dict[str, Any]) -> None:
    """Deliver to an address of this machine; whether anybody listens is not the sandbox's business."""
    request = urllib.request.Request(  # noqa: S310 - loopback only, checked by the caller
        url, json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with contextlib.suppress(OSError):  # nobody listens there, or it is refused: a vendor wouldn't tell either
        await asyncio.to_thread(urllib.request.urlopen, request, timeout=5)
