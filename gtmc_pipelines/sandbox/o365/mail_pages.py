"""Graph's mail endpoints: folders, messages, one message, delta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.o365 import bend
from gtmc_pipelines.sandbox.o365.delta import FILTERED_CAP, Round, deliver, item_json, round_of
from gtmc_pipelines.sandbox.o365.errors import GraphError, bad_request, no_item
from gtmc_pipelines.sandbox.o365.odata import (
    Prefer,
    Window,
    is_withheld,
    names_of,
    opened,
    prefer_of,
    sealed,
    selected,
    whole,
    window_of,
)
from gtmc_pipelines.sandbox.o365.shape import content_of, message_json
from gtmc_pipelines.sandbox.o365.store import FOLDERS, Change, Copy, Store
from gtmc_pipelines.sandbox.vendor import Exchange, base_of, exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.o365.vendor import O365Vendor

DEFAULT_PAGE, MOST_PAGE = 10, 1_000
_OPTIONS = frozenset({"$select", "$top", "$filter", "$orderby", "$skiptoken", "$deltatoken", "$skip", "$count"})


class MailPages:
    """Endpoints under /v1.0/users/{user}."""

    def __init__(self, vendor: O365Vendor) -> None:
        self._vendor = vendor

    async def folders(self, request: Request) -> Response:
        """All folders of a mailbox."""
        org, mailbox, store = self._vendor.mailbox_of(request)
        value = [_folder_json(store, mailbox, name) for name in FOLDERS]
        context = f"{base_of(request)}/v1.0/$metadata#users('{request.path_params['user']}')/mailFolders"
        exchange_of(request).served(len(value), org)
        return JSONResponse({"@odata.context": context, "value": value})

    async def folder(self, request: Request) -> Response:
        """One folder."""
        _, mailbox, store = self._vendor.mailbox_of(request)
        name = _folder(request, store, mailbox)
        assert name is not None
        context = f"{base_of(request)}/v1.0/$metadata#users('{request.path_params['user']}')/mailFolders/$entity"
        return JSONResponse({"@odata.context": context, **_folder_json(store, mailbox, name)})

    async def message(self, request: Request) -> Response:
        """One message, wherever in the mailbox it is."""
        org, mailbox, store = self._vendor.mailbox_of(request)
        prefer = prefer_of(request)
        copy = store.copy_of(request.path_params["message"])
        folder = _folder(request, store, mailbox)
        if copy is None or copy[0] != mailbox or not store.is_live(copy):
            raise no_item()
        if folder is not None and store.folder_of(copy) != folder:
            raise no_item()
        full = message_json(store, copy, immutable=prefer.immutable)
        names = self._names(request, full, org)
        exchange_of(request).served(1, org)
        context = f"{base_of(request)}/v1.0/$metadata#users('{request.path_params['user']}')/messages/$entity"
        answer = {"@odata.context": context, **selected(full, names)}
        return JSONResponse(answer, headers=_applied(prefer))

    async def messages(self, request: Request) -> Response:
        """Messages of a folder or of the whole mailbox, newest first unless ordered otherwise."""
        org, mailbox, store = self._vendor.mailbox_of(request)
        folder, prefer, asked = _folder(request, store, mailbox), prefer_of(request), _asked(request)
        state = opened(asked["$skiptoken"]) if "$skiptoken" in asked else {}
        order = str(state.get("order") or asked.get("$orderby") or "receivedDateTime desc")
        if order.lower().partition(" ")[0] != "receiveddatetime":
            raise GraphError(
                400, "InefficientFilter", "The restriction or sort order is too complex for this operation."
            )
        window = Window(state["low"], state["high"]) if state else window_of(asked.get("$filter"))
        size = prefer.page_size or int(
            state.get("top") or whole(asked.get("$top"), "$top", 1, MOST_PAGE) or DEFAULT_PAGE
        )
        sample = message_json(store, (0, 0), immutable=False)
        names = tuple(state["names"]) if state else self._names(request, sample, org)
        copies = _listed(store, mailbox, folder, window, is_rising=order.lower().endswith(" asc"))
        start = int(state.get("start", 0))
        part = copies[start : start + min(size, MOST_PAGE)]
        document = self._document(request, store, part, names, prefer)
        if start + len(part) < len(copies):
            left = {"order": order, "low": window.low, "high": window.high, "top": size, "names": names}
            document["@odata.nextLink"] = _link(request, "$skiptoken", sealed({**left, "start": start + len(part)}))
        return self._sent(request, document, store, part, org, prefer)

    async def delta(self, request: Request) -> Response:
        """A page of a delta round."""
        org, mailbox, store = self._vendor.mailbox_of(request)
        folder, prefer, asked = _folder(request, store, mailbox), prefer_of(request), _asked(request)
        assert folder is not None
        exchange = exchange_of(request)
        token = asked.get("$deltatoken") or asked.get("$skiptoken")
        if token:
            self._maybe_lost(exchange, org, request)
            now = round_of(token, mailbox, folder, store, is_delta="$deltatoken" in asked)
        else:
            now = self._first_round(request, asked, mailbox, folder, store, org)
        top = whole(asked.get("$top"), "$top", 1, MOST_PAGE)
        start, upto = now.token(), now.upto
        items, rest = deliver(store, now, min(prefer.page_size or top or DEFAULT_PAGE, MOST_PAGE))
        copies: list[Copy] = [(one.mailbox, one.number) if isinstance(one, Change) else one for one in items]

        def words(copy: Copy, names: tuple[str, ...]) -> Mapping[str, Any]:
            return selected(message_json(store, copy, immutable=prefer.immutable), names)

        document = self._head(request)
        document["value"] = [item_json(store, one, now.names, words) for one in items]
        if rest is not None:
            document["@odata.nextLink"] = _link(request, "$skiptoken", rest.token())
        else:
            document["@odata.deltaLink"] = _link(request, "$deltatoken", now.closing(upto).token())
        return self._sent(request, document, store, copies, org, prefer, own=_link(request, "$skiptoken", start))

    def _first_round(
        self, request: Request, asked: Mapping[str, str], mailbox: int, folder: str, store: Store, org: str
    ) -> Round:
        order = asked.get("$orderby", "receivedDateTime desc").lower()
        if order != "receiveddatetime desc":
            raise bad_request("Only $orderby=receivedDateTime desc is supported for a delta query.")
        window = window_of(asked.get("$filter"))
        if window.high is not None:
            raise bad_request("Only receivedDateTime ge or gt is supported in $filter of a delta query.")
        names = self._names(request, message_json(store, (0, 0), immutable=False), org)
        cap = FILTERED_CAP if "$filter" in asked else None
        knob = exchange_of(request).struck("delta_cap", org)
        if knob and cap:
            cap = int(knob.parameters.get("items", cap))
        return Round(mailbox, folder, names, window.low, store.seq, cap=cap)

    @staticmethod
    def _maybe_lost(exchange: Exchange, org: str, request: Request) -> None:
        knob = exchange.struck("sync_state_lost", org)
        if knob:
            headers = {"Location": _link(request, "$skiptoken", "")} if knob.parameters.get("location") else {}
            code = str(knob.parameters.get("code", "SyncStateNotFound"))
            raise GraphError(410, code, "The sync state generation is not found; generation=7;", headers)

    def _names(self, request: Request, known: Mapping[str, Any], org: str) -> tuple[str, ...]:
        names = names_of(_asked(request).get("$select"), known, "message")
        if is_withheld(names) and exchange_of(request).struck("withheld_refused", org):
            raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return names

    @staticmethod
    def _head(request: Request) -> dict[str, Any]:
        return {"@odata.context": f"{base_of(request)}/v1.0/$metadata#Collection(message)"}

    def _document(
        self, request: Request, store: Store, copies: list[Copy], names: tuple[str, ...], prefer: Prefer
    ) -> dict[str, Any]:
        full = [message_json(store, copy, immutable=prefer.immutable) for copy in copies]
        return {**self._head(request), "value": [selected(one, names) for one in full]}

    @staticmethod
    def _sent(
        request: Request,
        document: dict[str, Any],
        store: Store,
        copies: list[Copy],
        org: str,
        prefer: Prefer,
        own: str | None = None,
    ) -> Response:
        exchange = exchange_of(request)
        exchange.served(0, org)
        link = own or f"{base_of(request)}{quote(request.url.path)}?{request.url.query}"
        chosen = next((n for n, copy in enumerate(copies) if _is_of_a_partner(store, copy)), len(copies) // 2)
        response = bend.page(document, exchange, org, link, lambda n, name: content_of(store, copies[n], name), chosen)
        response.headers.update(_applied(prefer))
        return response


def _asked(request: Request) -> dict[str, str]:
    """Query options; the dollar sign is optional, as Graph has it."""
    given = {name if name.startswith("$") else f"${name}": value for name, value in request.query_params.items()}
    if "$search" in given or "$skip" in given:
        raise bad_request("Query option '$search' or '$skip' is not allowed here.")
    return {name: value for name, value in given.items() if name in _OPTIONS}


def _folder(request: Request, store: Store, mailbox: int) -> str | None:
    text = request.path_params.get("folder")
    if text is None:
        return None
    name = store.folder_named(mailbox, text)
    if name is None:
        raise no_item()
    return name


def _folder_json(store: Store, mailbox: int, name: str) -> dict[str, Any]:
    return {
        "id": store.folder_id(mailbox, name),
        "displayName": FOLDERS[name],
        "parentFolderId": store.folder_id(mailbox, "root"),
        "childFolderCount": 0,
        "unreadItemCount": 0,
        "totalItemCount": len(store.numbers(mailbox, name)),
        "sizeInBytes": 4096 * len(store.numbers(mailbox, name)),
        "isHidden": False,
    }


def _listed(store: Store, mailbox: int, folder: str | None, window: Window, *, is_rising: bool) -> list[Copy]:
    if folder:
        listing = store.listing(mailbox, folder)
    else:
        listing = sorted(entry for name in FOLDERS for entry in store.listing(mailbox, name))
    copies = [(mailbox, number) for received, number in listing if window.holds(-received)]
    return copies[::-1] if is_rising else copies


def _link(request: Request, name: str, token: str) -> str:
    """An absolute link to the same path, users and folders in the form users('id')."""
    user, folder = request.path_params["user"], request.path_params.get("folder")
    path = f"/v1.0/users('{user}')/"
    path += f"mailFolders('{folder}')/messages" if folder else "messages"
    path += "/delta" if request.url.path.endswith("/delta") else ""
    return f"{base_of(request)}{path}?{urlencode({name: token}, safe='$')}"


def _is_of_a_partner(store: Store, copy: Copy) -> bool:
    mail = store.mails.mail(copy[1])
    return any(store.people.is_partner(one.address) for one in (mail.sender, *mail.to, *mail.cc))


def _applied(prefer: Prefer) -> dict[str, str]:
    return {"Preference-Applied": prefer.applied} if prefer.applied else {}
