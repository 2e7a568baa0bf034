"""The embedded Temporal: one server a file, ready when it says so."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack.ports import answers, free_port
from gtmc_pipelines.stack.temporal import EmbeddedTemporal

pytestmark = pytest.mark.services


def test_it_answers_after_start_and_is_gone_after_stop(tmp_path: Path) -> None:
    server = EmbeddedTemporal(tmp_path, free_port(), free_port())
    server.start()
    try:
        assert server.is_ready()
    finally:
        server.stop()
    assert not answers(server.port)
    assert (tmp_path / "temporal.db").exists()


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
