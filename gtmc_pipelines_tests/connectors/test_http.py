"""The vendor session is patient, bounded, and says nothing it shouldn't."""

import gzip
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler

import pytest

from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.model.errors import Broken, Retry
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer, cut_short


def _session(vendor: ScriptedVendor, waits: list[float] | None = None, **limits: object) -> VendorSession:
    record = waits.append if waits is not None else lambda seconds: None
    return VendorSession("Acme", vendor.settings(**limits), sleep=record)


@pytest.mark.parametrize("status", [408, 420, 429, 500, 502, 503, 504])
def test_a_transient_answer_is_tried_again(vendor: ScriptedVendor, status: int) -> None:
    vendor.script.extend([answer(status, b"<html>busy</html>"), answer(200, b"fine")])
    with _session(vendor) as session:
        assert session.get(f"http://{vendor.host}/").content == b"fine"
        assert session.usage == {"requests": 2}


def test_waits_double_and_stop_at_the_last_attempt(vendor: ScriptedVendor) -> None:
    vendor.script.append(answer(503))
    waits: list[float] = []
    with _session(vendor, waits, max_attempts=5) as session, pytest.raises(Retry) as caught:
        session.get(f"http://{vendor.host}/")
    assert len(vendor.seen) == 5
    assert len(waits) == 4
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits))
    assert caught.value.code == "vendor_unavailable"


def test_retry_after_in_seconds_is_obeyed(vendor: ScriptedVendor) -> None:
    vendor.script.extend([answer(429, Retry_After="7"), answer(200)])
    waits: list[float] = []
    with _session(vendor, waits) as session:
        session.get(f"http://{vendor.host}/")
    assert len(waits) == 1
    assert 7 <= waits[0] <= 8


def test_retry_after_as_a_date_is_obeyed(vendor: ScriptedVendor) -> None:
    stated = datetime.now(UTC) + timedelta(seconds=20)
    vendor.script.extend([answer(503, Retry_After=format_datetime(stated, usegmt=True)), answer(200)])
    waits: list[float] = []
    with _session(vendor, waits) as session:
        session.get(f"http://{vendor.host}/")
    assert 18 <= waits[0] <= 22


def test_a_longer_wish_than_we_wait_is_handed_on(vendor: ScriptedVendor) -> None:
    vendor.script.append(answer(429, Retry_After="3600"))
    with _session(vendor) as session, pytest.raises(Retry) as caught:
        session.get(f"http://{vendor.host}/")
    assert caught.value.after_seconds == 3600
    assert len(vendor.seen) == 1


def test_a_cut_connection_is_tried_again(vendor: ScriptedVendor) -> None:
    vendor.script.extend([cut_short, cut_short, answer(200, b"whole")])
    with _session(vendor) as session:
        assert session.get(f"http://{vendor.host}/").content == b"whole"


def test_an_unreachable_vendor_is_a_retry(vendor: ScriptedVendor) -> None:
    settings = vendor.settings(max_attempts=2)
    vendor.script.append(answer(200))
    host = vendor.host
    vendor.server.socket.close()
    with VendorSession("Acme", settings, sleep=lambda seconds: None) as session, pytest.raises(Retry) as caught:
        session.get(f"http://{host}/path?email=kim@example.test")
    assert caught.value.code == "vendor_unreachable"
    assert "kim" not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__!r}"


def test_a_redirect_is_never_followed(vendor: ScriptedVendor) -> None:
    vendor.script.append(answer(302, Location=f"http://{vendor.host}/elsewhere"))
    with _session(vendor) as session, pytest.raises(Broken) as caught:
        session.get(f"http://{vendor.host}/")
    assert caught.value.code == "redirect_refused"
    assert len(vendor.seen) == 1


def test_an_oversized_body_is_cut(vendor: ScriptedVendor) -> None:
    vendor.script.append(answer(200, b"x" * 100_000))
    with _session(vendor, max_body_bytes=10_000) as session, pytest.raises(Broken) as caught:
        session.get(f"http://{vendor.host}/")
    assert caught.value.code == "body_too_large"


def test_a_gzip_bomb_is_cut_at_its_unpacked_size(vendor: ScriptedVendor) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    vendor.script.append(answer(200, bomb, Content_Encoding="gzip"))
    with _session(vendor, max_body_bytes=2_000_000) as session, pytest.raises(Broken) as caught:
        session.get(f"http://{vendor.host}/")
    assert caught.value.code == "body_too_large"


def test_a_packed_body_comes_out_whole(vendor: ScriptedVendor) -> None:
    body = bytes(range(256)) * 20_000
    vendor.script.append(answer(200, gzip.compress(body), Content_Encoding="gzip"))
    with _session(vendor) as session:
        assert session.get(f"http://{vendor.host}/").content == body


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            handler.wfile.write(b"x")
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.02)


def test_a_body_that_drips_is_cut_by_the_clock(vendor: ScriptedVendor) -> None:
    vendor.script.append(_drip)
    with _session(vendor, total_seconds=0.1, max_attempts=1) as session, pytest.raises(Retry) as caught:
        session.get(f"http://{vendor.host}/")
    assert caught.value.code == "vendor_slow"


def test_errors_name_method_host_and_path_only(vendor: ScriptedVendor) -> None:
    vendor.script.append(answer(503, b"kim@example.test"))
    with _session(vendor, max_attempts=1) as session, pytest.raises(Retry) as caught:
        session.get(f"http://{vendor.host}/services/query?q=secret-question")
    assert "GET 127.0.0.1/services/query" in str(caught.value)
    assert "secret-question" not in repr(caught.value)
    assert "kim" not in repr(caught.value)


def test_the_environment_has_no_say(vendor: ScriptedVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    vendor.script.append(answer(200, b"direct"))
    with _session(vendor) as session:
        assert session.get(f"http://{vendor.host}/").content == b"direct"


def test_connections_are_kept_alive(vendor: ScriptedVendor) -> None:
    ports: set[int] = set()

    def note(handler: BaseHTTPRequestHandler) -> None:
        ports.add(handler.client_address[1])
        answer(200, b"ok")(handler)

    vendor.script.append(note)
    with _session(vendor) as session:
        for _ in range(5):
            session.get(f"http://{vendor.host}/")
    assert len(ports) == 1


def test_https_urls_reach_a_sandbox_that_serves_http(vendor: ScriptedVendor) -> None:
    vendor.script.append(answer(200, b"plain"))
    with _session(vendor) as session:
        session.serve_plainly(vendor.host)
        assert session.get(f"https://{vendor.host}/").content == b"plain"
        with pytest.raises(Broken):
            session.serve_plainly("example.com:443")


def test_closing_ends_a_wait(vendor: ScriptedVendor) -> None:
    vendor.script.append(answer(503))
    session = VendorSession("Acme", vendor.settings())
    session.close()
    with pytest.raises(Retry) as caught:
        session.get(f"http://{vendor.host}/")
    assert caught.value.code == "session_closed"
