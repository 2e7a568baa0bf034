"""The embedded Temporal: one server a file, ready when it says so."""

from __future__ import annotations

import http.client
import socket
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack.ports import answers, free_port
from gtmc_pipelines.stack.temporal import EmbeddedTemporal
from gtmc_pipelines_tests.stack.conftest import eventually

pytestmark = pytest.mark.services


def test_it_answers_after_start_and_is_gone_after_stop(tmp_path: Path) -> None:
    server = EmbeddedTemporal(tmp_path, free_port(), free_port())
    server.start()
    try:
        assert server.is_ready()
        _no_page_starts_a_workflow(server)
    finally:
        server.stop()
    assert not answers(server.port)
    assert (tmp_path / "temporal.db").exists()


def _no_page_starts_a_workflow(server: EmbeddedTemporal) -> None:
    """At none of its ports, those it chose by itself among them, by what any page may send unasked."""
    assert server._child is not None
    answered: dict[int, tuple[int, bytes]] = {}

    def is_http_refused() -> bool:
        for place in psutil.Process(server._child.pid).net_connections():  # type: ignore[union-attr]
            if place.status == psutil.CONN_LISTEN:
                answered[place.laddr.port] = _posted_by_a_page(place.laddr.port)
        return any(b"Host not allowed" in body for _, body in answered.values())

    eventually(is_http_refused)
    assert not [status for status, _ in answered.values() if status == http.client.OK]


def _posted_by_a_page(port: int) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request(
                "POST",
                "/api/v1/namespaces/default/workflows/theirs",
                '{"workflowType": {"name": "ConnectorSyncWorkflow"}, "taskQueue": {"name": "gtmc"}}',
                {"Content-Type": "text/plain", "Origin": "http://page.invalid"},
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):  # gRPC
            return 0, b""


def test_two_servers_never_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtmc_pipelines.stack.folder_lock._PREDECESSOR_SECONDS", 0.05)
    server = EmbeddedTemporal(tmp_path, free_port(), free_port())
    server.start()
    try:
        with pytest.raises(Misuse, match="already runs the embedded Temporal"):
            EmbeddedTemporal(tmp_path, free_port(), free_port()).start()
    finally:
        server.stop()


def test_a_taken_port_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Misuse, match=f"Port {port} for Temporal is already in use"):
            EmbeddedTemporal(tmp_path, port, free_port()).start()
