"""A redirect is refused in one way, whatever bytes say where it leads."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest

from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor


@pytest.mark.parametrize("location", [b"\xff\xfe", b"", b"//evil.example", b"http://[::1", b"file:///etc/passwd", b"%"])
def test_where_a_redirect_leads_is_never_even_read(vendor: ScriptedVendor, location: bytes) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")

    vendor.script.append(redirect)
    with VendorSession("Acme", vendor.settings()) as session, pytest.raises(Broken) as caught:
        session.get(f"http://{vendor.host}/")
    assert caught.value.code == "redirect_refused"
    assert len(vendor.seen) == 1
