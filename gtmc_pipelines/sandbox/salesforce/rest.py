"""REST endpoints: query and its next pages, single records, deleted and updated ids, limits, describe."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gtmc_pipelines.sandbox.salesforce import bend
from gtmc_pipelines.sandbox.salesforce.batch import Batch
from gtmc_pipelines.sandbox.salesforce.describe import describe, summary
from gtmc_pipelines.sandbox.salesforce.encode import json_rows, seen_paths
from gtmc_pipelines.sandbox.salesforce.errors import ApiError, not_found
from gtmc_pipelines.sandbox.salesforce.fields import resolve
from gtmc_pipelines.sandbox.salesforce.select import Result, answer
from gtmc_pipelines.sandbox.salesforce.stamps import moment_of, spelled_json
from gtmc_pipelines.sandbox.salesforce.table import Table
from gtmc_pipelines.sandbox.salesforce.too_much import parsed
from gtmc_pipelines.sandbox.salesforce.view import Window, WindowView
from gtmc_pipelines.sandbox.vendor import base_of, exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.org import Org
    from gtmc_pipelines.sandbox.salesforce.vendor import SalesforceVendor

MAX_PAGE, MIN_PAGE = 2000, 200
OLDEST_VERSION, NEWEST_VERSION = 31, 68  # since Summer '25 and Winter '27
MAX_IDS = 600_000
DELETED_DAYS = 15


class RestPages:
    """The endpoints under /services/data/vXX.0, Bulk API left out."""

    def __init__(self, vendor: SalesforceVendor) -> None:
        self._vendor = vendor

    async def versions(self, request: Request) -> Response:
        """The versions list: needs no session and carries no usage header."""
        numbers = range(OLDEST_VERSION, NEWEST_VERSION + 1)
        return JSONResponse(
            [{"label": _label(n), "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in numbers]
        )

    async def resources(self, request: Request) -> Response:
        """What lies under one version."""
        org = self._vendor.authorized(request)
        base = f"/services/data/v{request.path_params['version']}"
        names = ("sobjects", "query", "queryAll", "limits", "jobs")
        identity = f"{base_of(request)}/id/{org.id}/{org.user_ids[0]}"
        return JSONResponse({**{name: f"{base}/{name}" for name in names}, "identity": identity})

    async def query(self, request: Request) -> Response:
        """First page of a query."""
        return await self._ask(request, with_deleted=False)

    async def query_all(self, request: Request) -> Response:
        """First page of a query that sees the recycle bin too."""
        return await self._ask(request, with_deleted=True)

    async def _ask(self, request: Request, *, with_deleted: bool) -> Response:
        org = self._vendor.authorized(request)
        text = request.query_params.get("q")
        if not text:
            raise ApiError(400, "MALFORMED_QUERY", "SOQL statements can not be empty or null")
        query = parsed(text, exchange_of(request), org.name)
        knob = exchange_of(request).struck("operation_too_large", org.name)
        if knob and (query.limit is None or query.limit > int(knob.parameters.get("most", 8000))):
            raise ApiError(400, "OPERATION_TOO_LARGE", "exceeded 100000 distinct who/what's")
        result = await answer(org.table, query, with_deleted=with_deleted)
        if query.count == "()":
            return JSONResponse({"totalSize": result.total, "done": True, "records": []})
        if query.count:
            return JSONResponse(_counted(result))
        return self._page(request, org, result, "", 0)

    async def query_more(self, request: Request) -> Response:
        """A next page, whichever query began it."""
        org = self._vendor.authorized(request)
        locator, _, offset = request.path_params["locator"].rpartition("-")
        result = org.cursors.get(locator)
        expired = exchange_of(request).struck("locator_expired", org.name)
        if expired:
            org.cursors.pop(locator, None)
        if result is None or expired or not offset.isdigit():
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(request, org, result, locator, int(offset))

    def _page(self, request: Request, org: Org, result: Result, locator: str, offset: int) -> Response:
        version, size = request.path_params["version"], _page_size(request)
        indices = result.page(offset, size)
        rows = json_rows(Batch(result.table, indices), result.paths, version)
        after, following = offset + size, ""
        if after < result.total:
            locator = locator or org.keep_cursor(result)
            following = f'"nextRecordsUrl":"/services/data/v{version}/query/{locator}-{after}",'
        done = "false" if following else "true"
        exchange = exchange_of(request)
        exchange.served(len(rows), org.name)
        body = f'{{"totalSize":{result.total},"done":{done},{following}"records":[{",".join(rows)}]}}'
        data = body.encode()
        if exchange.knobs.any_on:
            locator = locator or org.keep_cursor(result)
            own_link = f"/services/data/v{version}/query/{locator}-{offset}"
            data = bend.page(body, exchange, org.name, own_link)
        return Response(data, media_type="application/json;charset=UTF-8")

    async def record(self, request: Request) -> Response:
        """One record by id, all fields or those in `fields`."""
        org = self._vendor.authorized(request)
        table = self._table(org, request)
        number = table.codec.decode(request.path_params["record"])
        if number is None or not table.is_live(number):
            raise not_found("Provided external ID field does not exist or is not accessible")
        wanted = request.query_params.get("fields")
        paths = tuple(resolve(table, name)[0] for name in wanted.split(",")) if wanted else seen_paths(table)
        exchange_of(request).served(1, org.name)
        row = json_rows(Batch(table, [number]), paths, request.path_params["version"])[0]
        return Response(row, media_type="application/json;charset=UTF-8")

    async def objects(self, request: Request) -> Response:
        """All objects."""
        org = self._vendor.authorized(request)
        version = request.path_params["version"]
        listed = [summary(table.shape, version) for table in org.tables.values()]
        return JSONResponse({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})

    async def object(self, request: Request) -> Response:
        """One object's summary."""
        org = self._vendor.authorized(request)
        table = self._table(org, request)
        return JSONResponse({"objectDescribe": summary(table.shape, request.path_params["version"]), "recentItems": []})

    async def describe(self, request: Request) -> Response:
        """One object with its fields."""
        org = self._vendor.authorized(request)
        table = self._table(org, request)
        body = describe(table.shape, request.path_params["version"], table.hidden)
        if knob := exchange_of(request).struck("missing_field", org.name):
            body["fields"] = [one for one in body["fields"] if one["name"] != knob.parameters.get("field")]
        if knob := exchange_of(request).struck("describe_extra_field", org.name):
            body["fields"].append({**body["fields"][-1], "name": knob.parameters.get("field", "Brand_New__c")})
        return JSONResponse(body)

    async def deleted(self, request: Request) -> Response:
        """Ids deleted in a span."""
        org = self._vendor.authorized(request)
        table, start, end = self._table(org, request), *_span(request)
        now = int(self._vendor.clock(org.name) * 1000)
        if start < now - DELETED_DAYS * 86_400_000 - 60_000:
            earliest = now - DELETED_DAYS * 86_400_000
            raise ApiError(400, "INVALID_REPLICATION_DATE", f"startDate before org replication enabled date {earliest}")
        view = WindowView(table, Window(start, end), with_deleted=True)
        gone = [index for index in view.slice(0, len(view)) if not table.is_live(index) and table.exists(index)]
        _not_too_many(gone)
        exchange_of(request).served(len(gone), org.name)
        ids = table.codec.encode(gone)
        records = [
            {"id": text, "deletedDate": spelled_json(table.stamp(index))} for text, index in zip(ids, gone, strict=True)
        ]
        return JSONResponse(
            {
                "deletedRecords": records,
                "earliestDateAvailable": spelled_json(now - DELETED_DAYS * 86_400_000),
                "latestDateCovered": spelled_json(min(end, now // 60_000 * 60_000)),
            }
        )

    async def updated(self, request: Request) -> Response:
        """Ids changed in a span and still there."""
        org = self._vendor.authorized(request)
        table, start, end = self._table(org, request), *_span(request)
        view = WindowView(table, Window(start, end), with_deleted=False)
        _not_too_many(range(len(view)))
        ids = table.codec.encode(view.slice(0, len(view)))
        exchange_of(request).served(len(ids), org.name)
        now = int(self._vendor.clock(org.name) * 1000)
        return JSONResponse({"ids": ids, "latestDateCovered": spelled_json(min(end, now // 60_000 * 60_000))})

    async def limits(self, request: Request) -> Response:
        """Daily limits with what remains."""
        org = self._vendor.authorized(request)
        return JSONResponse(
            {
                "DailyApiRequests": {"Max": org.requests_limit, "Remaining": org.requests_limit - org.requests_used},
                "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000 - len(org.jobs)},
                "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
                "DataStorageMB": {"Max": 5, "Remaining": 5},
                "FileStorageMB": {"Max": 20, "Remaining": 20},
            }
        )

    @staticmethod
    def _table(org: Org, request: Request) -> Table:
        table = org.table(request.path_params["object"])
        if table is None:
            raise not_found()
        return table


def _label(version: int) -> str:
    """The release of a version, three a year: 60.0 is Spring '24."""
    third = version % 3
    return f"{('Spring', 'Summer', 'Winter')[third]} '{version // 3 + (5 if third == 2 else 4)}"


def _counted(result: Result) -> dict[str, Any]:
    row = {"attributes": {"type": "AggregateResult"}, "expr0": result.total}
    return {"totalSize": 1, "done": True, "records": [row]}


def _page_size(request: Request) -> int:
    found = re.search(r"batchSize\s*=\s*(\d+)", request.headers.get("sforce-query-options", ""), re.IGNORECASE)
    return min(MAX_PAGE, max(MIN_PAGE, int(found[1]))) if found else MAX_PAGE


def _span(request: Request) -> tuple[int, int]:
    """start and end to the minute: seconds are ignored."""
    try:
        start, end = (moment_of(request.query_params.get(name, "")) for name in ("start", "end"))
    except ValueError:
        raise ApiError(400, "INVALID_REPLICATION_DATE", "start and end must be ISO times with a zone") from None
    start, end = start // 60_000 * 60_000, end // 60_000 * 60_000
    if end <= start:
        raise ApiError(400, "INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than startDate")
    return start, end


def _not_too_many(ids: Any) -> None:
    if len(ids) > MAX_IDS:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"more than {MAX_IDS} ids: ask for a shorter span")
