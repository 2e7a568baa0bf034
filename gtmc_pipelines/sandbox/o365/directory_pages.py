"""Graph's other endpoints: users, the organization, a simple calendar view, and JSON batches."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.dice import key_of, roll
from gtmc_pipelines.sandbox.o365.errors import bad_request, unknown_user
from gtmc_pipelines.sandbox.o365.odata import moment_ms, names_of, opened, sealed, selected, whole
from gtmc_pipelines.sandbox.o365.store import Store
from gtmc_pipelines.sandbox.vendor import base_of, exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.o365.vendor import O365Vendor

_MOST_USERS, _USERS_PAGE, _MOST_PARTS = 999, 100, 20
_DEFAULT = "id,displayName,givenName,surname,mail,userPrincipalName,businessPhones,jobTitle,mobilePhone,officeLocation"
_DEFAULT += ",preferredLanguage"
_HOUR_MS = 3_600_000


class DirectoryPages:
    """Endpoints that are not mail."""

    def __init__(self, vendor: O365Vendor) -> None:
        self._vendor = vendor

    async def users(self, request: Request) -> Response:
        """Users of the directory, by pages."""
        org = self._vendor.authorized(request, "User.Read.All")
        asked, people, store = request.query_params, self._vendor.people(org), self._vendor.store(org)
        if "$skip" in asked:
            raise bad_request("'$skip' is not supported by the service.")
        token = asked.get("$skiptoken")
        state: dict[str, Any] = opened(token) if token else {}
        size = int(state.get("top") or whole(asked.get("$top"), "$top", 1, _MOST_USERS) or _USERS_PAGE)
        start = int(state.get("start", 0))
        sample = people.user_json(people.user(0), {})
        names = tuple(state.get("names") or names_of(asked.get("$select") or _DEFAULT, sample, "user"))
        users = [people.user(index) for index in range(start, min(start + size, people.users))]
        users = [one for one in users if not store.has_left(one.id)]
        value = [selected(people.user_json(one, store.users.get(one.id, {})), names) for one in users]
        shown = ",".join(names)
        answer: dict[str, Any] = {"@odata.context": f"{base_of(request)}/v1.0/$metadata#users({shown})"}
        if asked.get("$count") == "true":
            answer["@odata.count"] = people.users
        if start + size < people.users:
            rest = sealed({"start": start + size, "top": size, "names": names})
            answer["@odata.nextLink"] = f"{base_of(request)}/v1.0/users?{urlencode({'$skiptoken': rest}, safe='$')}"
        exchange_of(request).served(len(value), org)
        return JSONResponse({**answer, "value": value})

    async def user(self, request: Request) -> Response:
        """One user, by id or principal name."""
        org = self._vendor.authorized(request, "User.Read.All")
        people, store = self._vendor.people(org), self._vendor.store(org)
        found = people.find(request.path_params["user"])
        if found is None or store.has_left(found.id):
            raise unknown_user(request.path_params["user"])
        full = people.user_json(found, store.users.get(found.id, {}))
        names = names_of(request.query_params.get("$select") or _DEFAULT, full, "user")
        exchange_of(request).served(1, org)
        return JSONResponse(
            {"@odata.context": f"{base_of(request)}/v1.0/$metadata#users/$entity", **selected(full, names)}
        )

    async def calendar(self, request: Request) -> Response:
        """Meetings of a mailbox inside a window."""
        org, mailbox, store = self._vendor.mailbox_of(request, "Calendars.Read")
        asked = request.query_params
        if "startDateTime" not in asked or "endDateTime" not in asked:
            raise bad_request("This request requires a time window specified by startDateTime and endDateTime.")
        low, high = moment_ms(asked["startDateTime"]), moment_ms(asked["endDateTime"])
        names = tuple(one.strip() for one in asked.get("$select", "").split(",") if one.strip())
        if {one.lower() for one in names} & {"createddatetime", "lastmodifieddatetime"}:
            raise bad_request("createdDateTime and lastModifiedDateTime can't be selected in a calendar view.")
        start, size = int(asked.get("$skip", 0)), whole(asked.get("$top"), "$top", 1, 1_000) or 10
        events = [one for one in self.events(org, mailbox, store) if low <= one[0] < high]
        value = [selected(one, names) for _, one in events[start : start + size]]
        answer: dict[str, Any] = {
            "@odata.context": f"{base_of(request)}/v1.0/$metadata#Collection(event)",
            "value": value,
        }
        if start + size < len(events):
            query = {**asked, "$skip": str(start + size)}
            path = f"/v1.0/users('{request.path_params['user']}')/calendarView"
            answer["@odata.nextLink"] = f"{base_of(request)}{path}?{urlencode(query, safe='$')}"
        exchange_of(request).served(len(value), org)
        return JSONResponse(answer)

    def events(self, org: str, mailbox: int, store: Store) -> list[tuple[int, dict[str, Any]]]:
        """All meetings of a mailbox with their start in milliseconds, oldest first."""
        people, count = store.people, self._vendor.meetings
        key = key_of(people.seed, org, "event", mailbox)
        owner, found = people.owner(mailbox), []
        for index in range(count):
            dice = roll(key, index)
            start = store.mails.anchor_ms // _HOUR_MS * _HOUR_MS - (count - index) * 22 * _HOUR_MS
            guest = people.contact(dice >> 8)
            found.append((start, _event(f"AAkALgE{mailbox:04x}{index:08x}", start, dice, owner, guest)))
        return found

    async def batch(self, request: Request) -> Response:
        """Up to twenty requests in one; each is served as if it had come alone."""
        self._vendor.authorized(request, "")
        try:
            parts = json.loads(await request.body())["requests"]
            ids = [str(part["id"]) for part in parts]
        except (ValueError, KeyError, TypeError):
            raise bad_request("Invalid batch payload format.") from None
        if len(parts) > _MOST_PARTS or len(set(ids)) != len(ids):
            raise bad_request("A batch holds at most 20 requests, each with an id of its own.")
        statuses: dict[str, int] = {}
        responses = []
        for part in parts:
            failed = any(statuses.get(str(one), 500) >= 400 for one in part.get("dependsOn") or ())
            answer = _dependency_failed() if failed else await self._part(request, part)
            statuses[str(part["id"])] = answer["status"]
            responses.append({"id": str(part["id"]), **answer})
        return JSONResponse({"responses": responses[::-1]})

    async def _part(self, request: Request, part: dict[str, Any]) -> dict[str, Any]:
        path, _, query = str(part.get("url", "")).partition("?")
        headers = [(name.lower().encode(), str(value).encode()) for name, value in (part.get("headers") or {}).items()]
        headers += [(b"authorization", request.headers["authorization"].encode())]
        headers += [(b"host", request.headers.get("host", "").encode())]
        scope = {
            **request.scope,
            "method": part.get("method", "GET"),
            "path": f"/v1.0/{path.lstrip('/')}",
            "query_string": query.encode(),
            "headers": headers,
        }
        return await _asked(self._vendor.app, scope)


async def _asked(app: Any, scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """What an ASGI application answers to a request without a body."""
    started: dict[str, Any] = {}
    body = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        else:
            body.extend(message.get("body", b""))

    ask: Callable[..., Awaitable[None]] = app
    await ask(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in started["headers"]}
    return {"status": started["status"], "headers": headers, "body": json.loads(bytes(body) or b"null")}


def _dependency_failed() -> dict[str, Any]:
    body = {"error": {"code": "FailedDependency", "message": "A request this one depends on has failed."}}
    return {"status": 424, "headers": {}, "body": body}


def _event(event_id: str, start_ms: int, dice: int, owner: Any, guest: Any) -> dict[str, Any]:
    def moment(ms: int) -> dict[str, str]:
        text = datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.0000000")
        return {"dateTime": text, "timeZone": "UTC"}

    def person(one: Any) -> dict[str, Any]:
        return {"emailAddress": {"name": one.name, "address": one.address}}

    answers = ("accepted", "tentativelyAccepted", "none", "declined")
    status = {"response": answers[dice % 4], "time": "0001-01-01T00:00:00Z"}
    return {
        "@odata.etag": f'W/"{event_id[-12:]}"',
        "id": event_id,
        "iCalUId": f"040000008200E00074C5B7101A82E008{event_id[-12:]}",
        "subject": "Meeting",
        "start": moment(start_ms),
        "end": moment(start_ms + _HOUR_MS // 2 * (1 + dice % 3)),
        "organizer": person(owner),
        "attendees": [{"type": "required", "status": status, **person(guest)}],
        "isAllDay": False,
        "isCancelled": False,
        "isOnlineMeeting": bool(dice & 16),
        "showAs": "busy",
        "type": "singleInstance",
        "seriesMasterId": None,
        "sensitivity": "normal",
    }
