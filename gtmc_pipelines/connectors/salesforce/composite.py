"""A query too long for an address, in the body of a Composite request: asked, and taken out of its answer.

Salesforce refuses URI and headers of more than 16,384 bytes together (414, 431: its limits of REST calls), while
SOQL may have 100,000 characters. A Composite request carries the very same GET in its body; it takes up to five
queries (`query` and `queryAll`), counts as one call, and lets `Sforce-Query-Options` go with the subrequest.
"""

from __future__ import annotations

from typing import Any

import msgspec
import requests

from gtmc_pipelines.connectors.json_pages import decode_page
from gtmc_pipelines.connectors.salesforce.errors import VENDOR

MOST_URI_BYTES = 7_500
"""Longer queries go in a body: proxies on the way often stop at 8 KB, and a token may have 2,000 bytes."""

MOST_SOQL_CHARACTERS = 100_000

_REFERENCE = "gtmcQuery"


class _Subanswer(msgspec.Struct):
    body: msgspec.Raw
    httpStatusCode: int
    referenceId: str = ""


class _Answer(msgspec.Struct):
    compositeResponse: list[_Subanswer]


_DECODER = msgspec.json.Decoder(_Answer)


def composite_of(path: str, headers: dict[str, str]) -> dict[str, Any]:
    """The body of a Composite request that asks for `path` (relative, encoded) once."""
    asked = {"method": "GET", "url": path, "referenceId": _REFERENCE, "httpHeaders": headers}
    return {"allOrNone": False, "compositeRequest": [asked]}


def unfold(response: requests.Response) -> None:
    """Make the answer to `composite_of` the answer it carries, status and body; leave every other one alone.

    So an error inside is judged, retried and worded as if it had been asked for by itself. Raises Broken
    (`unparsable_page`).
    """
    if response.status_code != 200 or b'"compositeResponse"' not in response.content[:200]:
        return
    found = decode_page(response.content, _DECODER, VENDOR).compositeResponse
    if len(found) == 1 and found[0].referenceId == _REFERENCE:
        response.status_code = found[0].httpStatusCode
        response._content = bytes(found[0].body)
