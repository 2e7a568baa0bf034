"""The guard in front of Dagster: whatever a page of another site can make a browser send is refused."""

from __future__ import annotations

import asyncio
import string
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines.defs.guard import ANSWER_HEADERS, Address, Guard, own_addresses, refusal

PORT = 3000
PUBLIC = "https://dagster.example.com"
OWN = own_addresses(PORT, [PUBLIC, "http://tunnel.example.com:8080/dagster"])
LOOPBACK = ("127.0.0.1:3000", "localhost:3000", "LOCALHOST:3000", "[::1]:3000")
JSON = {"content-type": "application/json"}
SAFELISTED = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
"""What a page may send to another site without asking it first."""


def _scope(
    path: str = "/graphql",
    query: str = "",
    *,
    method: str = "POST",
    kind: str = "http",
    headers: dict[str, str] | list[tuple[str, str]] = JSON,
    host: str | None = "127.0.0.1:3000",
) -> dict[str, Any]:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    pairs = [*pairs, *([("host", host)] if host is not None else [])]
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    return {"type": kind, "method": method, "path": path, "query_string": query.encode(), "headers": raw}


def _passes(**given: Any) -> bool:
    return refusal(_scope(**given), OWN) is None


@pytest.mark.parametrize(
    "host", [*LOOPBACK, "dagster.example.com", "dagster.example.com:443", "tunnel.example.com:8080"]
)
def test_a_client_that_is_no_browser_may_ask_under_each_own_name(host: str) -> None:
    assert _passes(host=host)
    assert _passes(host=host, path="/runs", method="GET", headers={})
    assert _passes(host=host, kind="websocket", method="GET", headers={})


@pytest.mark.parametrize("origin", [*(f"http://{host}" for host in LOOPBACK), PUBLIC, "http://tunnel.example.com:8080"])
def test_our_own_pages_may_do_everything(origin: str) -> None:
    own = {"origin": origin, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}
    assert _passes(headers={**JSON, **own})
    assert _passes(headers={"content-type": "application/json; charset=UTF-8", **own}, query="op=LaunchRun")
    assert _passes(kind="websocket", method="GET", headers=own)


_FOREIGN_HOSTS = """
127.0.0.1 127.0.0.1:3001 localhost localhost.:3000 localhost:03000x 127.0.0.1:3000.evil.example 127.1:3000 0:3000
127.0.0.1:3000@evil.example evil.example@127.0.0.1:3000 0.0.0.0:3000 2130706433:3000 [::]:3000 [::ffff:127.0.0.1]:3000
dagster.example.com:3000 tunnel.example.com.evil 127.0.0.1:3000,evil.example :3000 evil.example:3000
tunnel.example.com
"""
hosts = st.one_of(
    st.sampled_from(["", "127.0.0.1:3000 evil.example", *_FOREIGN_HOSTS.split(), *LOOPBACK]),
    st.text("12.70:3[]localhstevi@/-é ", max_size=16),
)


def _is_own(host: str) -> bool:
    return host.strip().lower() in {
        *LOOPBACK,
        "dagster.example.com",
        "dagster.example.com:443",
        "tunnel.example.com:8080",
    }


@settings(max_examples=60, deadline=None)
@given(hosts, st.sampled_from(["http", "websocket"]), st.sampled_from(["/", "/graphql", "/server_info"]))
def test_no_foreign_host_is_answered(host: str, kind: str, path: str) -> None:
    assert _passes(host=host, kind=kind, path=path) == _is_own(host)


def test_a_request_without_or_with_two_hosts_is_refused() -> None:
    assert not _passes(host=None)
    assert not _passes(headers={**JSON, "Host": "127.0.0.1:3000"})


@settings(max_examples=60, deadline=None)
@given(st.one_of(hosts, st.just("null"), hosts.map("http://{}".format), hosts.map("https://{}".format)))
def test_no_foreign_origin_is_answered(origin: str) -> None:
    own = {f"http://{host.lower()}" for host in LOOPBACK} | {PUBLIC, f"{PUBLIC}:443", "http://tunnel.example.com:8080"}
    is_own = origin.strip().lower() in own
    for kind in ("http", "websocket"):
        assert _passes(kind=kind, headers={**JSON, "origin": origin}) == is_own
    assert not _passes(headers=[*JSON.items(), ("origin", "http://127.0.0.1:3000"), ("Origin", "null")])


@pytest.mark.parametrize(
    "origin", ["https://127.0.0.1:3000", "http://dagster.example.com", "file://", "http://", "HTTP://["]
)
def test_another_scheme_is_another_origin(origin: str) -> None:
    assert not _passes(headers={**JSON, "origin": origin})


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["cross-site", "same-site", "", "other", "same-origin, cross-site"]), st.data())
def test_another_site_may_only_open_a_page_in_a_window(site: str, data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(["navigate", "no-cors", "cors", "websocket", "nested-navigate", None]))
    dest = data.draw(
        st.sampled_from(["document", "iframe", "frame", "embed", "object", "image", "script", "empty", None])
    )
    method = data.draw(st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD"]))
    kind = data.draw(st.sampled_from(["http", "websocket"]))
    told = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    headers = {**JSON, **{name: value for name, value in told.items() if value is not None}}
    is_visit = (kind, method, mode, dest) == ("http", "GET", "navigate", "document")
    assert _passes(path="/runs", method=method, kind=kind, headers=headers) == is_visit


def _escaped(word: str, marks: list[bool]) -> str:
    return "".join(f"%{ord(letter):02x}" if mark else letter for letter, mark in zip(word, marks, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.text(string.ascii_letters + string.punctuation + " ", max_size=30),
    st.sampled_from(["", "op=A&", "op=A;", "&", "a=%26&", "+"]),
    st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    st.sampled_from(["/graphql", "/graphql/", "/prefix/graphql", "http://evil.example/graphql"]),
)
def test_graphql_in_an_address_is_refused_however_it_is_written(
    marks: list[bool], text: str, before: str, method: str, path: str
) -> None:
    address = f"{before}{_escaped('query', marks)}={quote(text)}"
    assert not _passes(path=path, query=address, method=method)
    assert _passes(path="/assets", query=address, method="GET"), "a page's own parameter of that name is none"


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*SAFELISTED, "", "application/graphql", "application/json, a/b", "text/plain; application/json"]),
    st.sampled_from(["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]),
    st.sampled_from(["/graphql", "/report_asset_materialization/a", "/"]),
)
def test_nothing_but_json_is_taken(content_type: str, method: str, path: str) -> None:
    assert not _passes(path=path, method=method, headers={"content-type": content_type})
    assert not _passes(path=path, method=method, headers={})
    assert not _passes(path=path, method=method, headers=[*JSON.items(), ("content-type", content_type)])


def test_an_address_is_read_whole_or_not_at_all() -> None:
    assert Address.of("https://Dagster.Example.com") == Address("https", "dagster.example.com", 443)
    for text in ("", "null", "http://", "ftp://a", "http://a/b", "http://a:b", "http://u@a", "http://a?b", " http://a"):
        assert Address.of(text) is None


def _answers(scope: dict[str, Any]) -> list[Any]:
    """What goes out, with an application behind that sets headers of its own."""
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"X-Frame-Options", b"ALLOWALL"), (b"content-security-policy", b"script-src 'self'")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"page"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(Guard(app, OWN)(scope, receive, send))
    return sent


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1:3000", 200), ("evil.example", 403)])
def test_every_answer_forbids_framing_and_foreign_images(host: str, status: int) -> None:
    start = _answers(_scope("/", method="GET", host=host))[0]
    assert start["status"] == status
    for name, value in ANSWER_HEADERS.items():
        assert (name, value) in start["headers"]
    policies = b" ".join(value for name, value in start["headers"] if name == b"content-security-policy")
    assert b"frame-ancestors 'none'" in policies
    assert b"img-src 'self' data: blob:" in policies
    assert (b"script-src 'self'" in policies) == (status == 200), "Dagster's own policy stays"
    assert (b"X-Frame-Options", b"ALLOWALL") not in start["headers"]


def test_a_refused_websocket_is_closed_before_it_was_accepted() -> None:
    (sent,) = _answers(_scope(kind="websocket", headers={"origin": "http://evil.example"}))
    assert (sent["type"], sent["code"]) == ("websocket.close", 1008)
