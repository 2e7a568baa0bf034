"""Bulk API 2.0 query jobs: create, poll, results with locators, result pages, abort, delete."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gtmc_pipelines.sandbox.knobs import Knob
from gtmc_pipelines.sandbox.salesforce import bend
from gtmc_pipelines.sandbox.salesforce.encode import LINE_ENDINGS, SEPARATORS, csv_head, csv_rows
from gtmc_pipelines.sandbox.salesforce.errors import ApiError, not_found
from gtmc_pipelines.sandbox.salesforce.fields import resolve
from gtmc_pipelines.sandbox.salesforce.select import Result, answer
from gtmc_pipelines.sandbox.salesforce.soql import Query
from gtmc_pipelines.sandbox.salesforce.stamps import spelled_json
from gtmc_pipelines.sandbox.salesforce.too_much import parsed
from gtmc_pipelines.sandbox.vendor import Exchange, exchange_of

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.org import Org
    from gtmc_pipelines.sandbox.salesforce.vendor import SalesforceVendor

DEFAULT_MAX_RECORDS = 50_000
PAGES_AT_ONCE = 5
_CHUNK = 500
_DONE = ("JobComplete", "Failed", "Aborted")


@dataclass(slots=True)
class Job:
    """A query job. It is complete after `polls_left` more looks at it."""

    id: str
    operation: str
    result: Result
    version: str
    separator: str
    line_ending: str
    created_ms: int
    state: str = "UploadComplete"
    polls_left: int = 0
    failure: str | None = None

    def advance(self) -> None:
        """What a look at the job brings about."""
        if self.state in _DONE:
            return
        if self.polls_left > 0:
            self.polls_left -= 1
            self.state = "InProgress"
        else:
            self.state = "Failed" if self.failure else "JobComplete"

    def as_json(self, *, full: bool) -> dict[str, Any]:
        """The job as told; `full` adds what only a look at it tells."""
        told: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "object": self.result.table.shape.name,
            "createdById": self.result.table.org.user_ids[0],
            "createdDate": spelled_json(self.created_ms),
            "systemModstamp": spelled_json(self.created_ms),
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
            "lineEnding": self.line_ending,
            "columnDelimiter": self.separator,
        }
        if full:
            done = self.result.total if self.state == "JobComplete" else 0
            told |= {
                "jobType": "V2Query",
                "numberRecordsProcessed": done,
                "retries": 0,
                "totalProcessingTime": 334,
                "isPkChunkingSupported": True,
            }
            if self.failure and self.state == "Failed":
                told["errorMessage"] = self.failure
        return told


class BulkPages:
    """The endpoints under /services/data/vXX.0/jobs/query."""

    def __init__(self, vendor: SalesforceVendor) -> None:
        self._vendor = vendor

    async def create(self, request: Request) -> Response:
        """Start a job. The records are those of this moment."""
        org, exchange = self._vendor.authorized(request), exchange_of(request)
        wish = await _wish(request)
        query = parsed(wish["query"], exchange, org.name)
        result = await self._find(org, exchange, query, with_deleted=wish["operation"] == "queryAll")
        failure = exchange.struck("bulk_job_fails", org.name)
        polls = exchange.struck("bulk_polls", org.name)
        job = Job(
            org.new_id("750"),
            wish["operation"],
            result,
            request.path_params["version"],
            wish["columnDelimiter"],
            wish["lineEnding"],
            int(self._vendor.clock(org.name) * 1000),
            polls_left=int(polls.parameters.get("polls", 2)) if polls else 0,
            failure=str(failure.parameters.get("message", "InternalServerError: the job died")) if failure else None,
        )
        org.jobs[job.id] = job
        return JSONResponse(job.as_json(full=False))

    @staticmethod
    async def _find(org: Org, exchange: Exchange, query: Query, *, with_deleted: bool) -> Result:
        if query.count or query.offset:
            raise ApiError(400, "API_ERROR", "Aggregate functions and OFFSET are not supported by the Bulk API")
        table = org.table(query.object)
        if knob := exchange.struck("bulk_unsupported", org.name):
            status, code = int(knob.parameters.get("status", 400)), str(knob.parameters.get("code", "INVALIDENTITY"))
            raise ApiError(status, code, str(knob.parameters.get("message", "Not supported by the Bulk API.")))
        if table is not None and not table.shape.bulk:
            raise ApiError(400, "INVALIDENTITY", f"Entity '{table.shape.name}' is not supported by the Bulk API.")
        result = await answer(org.table, query, with_deleted=with_deleted)
        for name in query.fields:
            if resolve(result.table, name)[1].compound:
                raise ApiError(400, "FUNCTIONALITY_NOT_ENABLED", "Selecting compound data not supported in Bulk Query")
        return result

    async def jobs(self, request: Request) -> Response:
        """All query jobs of the org."""
        org = self._vendor.authorized(request)
        records = [job.as_json(full=True) for job in org.jobs.values()]
        return JSONResponse({"done": True, "records": records, "nextRecordsUrl": None})

    async def job(self, request: Request) -> Response:
        """Look at a job, abort it (PATCH) or drop it (DELETE)."""
        org = self._vendor.authorized(request)
        job = _job(org, request)
        if request.method == "DELETE":
            if job.state not in _DONE:
                raise ApiError(400, "INVALIDJOBSTATE", "A job that is not finished can't be deleted: abort it first")
            del org.jobs[job.id]
            return Response(status_code=204)
        if request.method == "PATCH":
            if job.state in _DONE:
                raise ApiError(400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
            job.state = "Aborted"
            return JSONResponse(job.as_json(full=False))
        job.advance()
        return JSONResponse(job.as_json(full=True))

    async def results(self, request: Request) -> Response:
        """One page of a complete job's result: as often as wanted, while the job exists."""
        org, exchange = self._vendor.authorized(request), exchange_of(request)
        job = self._complete(org, request)
        size, offset = _size(request), _offset(request.query_params.get("locator"))
        if exchange.struck("locator_expired", org.name) or offset is None or offset > max(0, job.result.total):
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        indices = job.result.page(offset, size)
        after = offset + size
        headers = {
            "sforce-locator": _locator(after) if after < job.result.total else "null",
            "sforce-numberofrecords": str(len(indices)),
        }
        exchange.served(len(indices), org.name)
        names = (*bend.RECORD_FAULTS, "malformed_page") if exchange.knobs.any_on else ()
        struck = {name: exchange.struck(name, org.name) for name in names}
        faults = {name: knob for name, knob in struck.items() if knob is not None}
        if faults:
            text = "".join([chunk async for chunk in _csv(job, indices)])
            separator, line_end = SEPARATORS[job.separator], LINE_ENDINGS[job.line_ending]
            return Response(_bent(text, separator, line_end, faults), media_type="text/csv", headers=headers)
        return StreamingResponse(_csv(job, indices), media_type="text/csv", headers=headers)

    async def result_pages(self, request: Request) -> Response:
        """Ready-made addresses of result pages, five at a time."""
        org = self._vendor.authorized(request)
        job = self._complete(org, request)
        size, offset = _size(request), _offset(request.query_params.get("locator"))
        if offset is None:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        base = f"/services/data/v{job.version}/jobs/query/{job.id}"
        starts = range(offset, max(job.result.total, 1), size)[:PAGES_AT_ONCE]
        pages = [{"resultLink": f"{base}/results?maxRecords={size}&locator={_locator(start)}"} for start in starts]
        after = starts[-1] + size if starts else offset
        done = after >= job.result.total
        more = None if done else f"{base}/resultPages?maxRecords={size}&locator={_locator(after)}"
        return JSONResponse({"resultPages": pages, "nextRecordsUrl": more, "done": done})

    @staticmethod
    def _complete(org: Org, request: Request) -> Job:
        job = _job(org, request)
        if job.version != request.path_params["version"]:
            raise ApiError(409, "VERSION_MISMATCH", f"the job was made with API version {job.version}")
        if job.state != "JobComplete":
            raise ApiError(400, "INVALIDJOBSTATE", f"the job is {job.state}, it has no results")
        return job


async def _csv(job: Job, indices: list[int]) -> AsyncIterator[str]:
    separator, line_end = SEPARATORS[job.separator], LINE_ENDINGS[job.line_ending]
    yield csv_head(job.result.paths, separator, line_end)
    for batch in job.result.table.batches(indices, _CHUNK):
        yield csv_rows(batch, job.result.paths, separator, line_end)


def _bent(text: str, separator: str, line_end: str, faults: dict[str, Knob]) -> str:
    return bend.table(text, separator, line_end, faults)


async def _wish(request: Request) -> dict[str, str]:
    try:
        wish = json.loads(await request.body())
    except ValueError:
        raise ApiError(400, "JSON_PARSER_ERROR", "the body is not JSON") from None
    if not isinstance(wish, dict) or not wish.get("query"):
        raise ApiError(400, "INVALIDJOB", "a query job needs a query")
    if wish.get("operation") not in ("query", "queryAll"):
        raise ApiError(400, "INVALIDJOB", "operation must be query or queryAll")
    wish = {"columnDelimiter": "COMMA", "lineEnding": "LF", **wish}
    if wish["columnDelimiter"] not in SEPARATORS or wish["lineEnding"] not in LINE_ENDINGS:
        raise ApiError(400, "INVALIDJOB", "unknown columnDelimiter or lineEnding")
    return wish


def _job(org: Org, request: Request) -> Job:
    job = org.jobs.get(request.path_params["job"])
    if job is None:
        raise not_found()
    return job


def _size(request: Request) -> int:
    text = request.query_params.get("maxRecords", str(DEFAULT_MAX_RECORDS))
    if not text.isdigit() or not int(text):
        raise ApiError(400, "INVALID_ARGUMENT", "maxRecords must be a positive whole number")
    return int(text)


def _locator(offset: int) -> str:
    return base64.urlsafe_b64encode(str(offset).encode()).decode().rstrip("=")


def _offset(locator: str | None) -> int | None:
    """The offset behind a locator; 0 without one, None when it is none of ours."""
    if locator is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode()
    except ValueError:
        return None
    return int(text) if text.isdigit() else None
