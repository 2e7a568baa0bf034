"""The whole stack starts, tells where it is, notices a death, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import Settings, child_environment, load_settings, running_stack
from gtmc_pipelines.stack.dagster_storage import create_beside, url_beside
from gtmc_pipelines.stack.embedded import Stack, StackOptions
from gtmc_pipelines.stack.ports import answers
from gtmc_pipelines_tests.stack.conftest import eventually

pytestmark = pytest.mark.services
SERVERS_ONLY = StackOptions(sandbox=False, worker=False, dagster=False)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, home: Path) -> Settings:
    """Settings of an empty environment, with a home of this test's own."""
    for name in ("GTMC_DATABASE_URL", "TEMPORAL_ADDRESS", "DAGSTER_PG_URL", "CONNECTOR_ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GTMC_HOME", str(home))
    return load_settings()


@pytest.fixture
def stack(settings: Settings) -> Iterator[Stack]:
    """PostgreSQL and Temporal, prepared."""
    with Stack(settings, SERVERS_ONLY) as running:
        running.start()
        yield running


@pytest.fixture(autouse=True)
def descendants() -> Callable[[], list[str]]:
    """Names of the processes below this one that were not there before the test."""
    before = set(psutil.Process().children(recursive=True))
    return lambda: [child.name() for child in set(psutil.Process().children(recursive=True)) - before]


def test_other_terminals_find_a_running_stack_and_its_addresses(stack: Stack, home: Path) -> None:
    assert load_settings().temporal_address == stack.environment["TEMPORAL_ADDRESS"]
    assert load_settings().encryption_key is not None
    found = running_stack(home)
    assert found is not None
    assert found["addresses"] == stack.addresses


def test_a_second_stack_on_the_same_home_is_refused(stack: Stack) -> None:
    with pytest.raises(Misuse, match="A stack already runs"):
        Stack(load_settings(), SERVERS_ONLY).start()
    assert answers(int(stack.environment["TEMPORAL_ADDRESS"].rsplit(":", 1)[1]))


def test_stopping_leaves_no_process_and_no_stack_file(
    stack: Stack, home: Path, descendants: Callable[[], list[str]]
) -> None:
    before = descendants()
    stack.stop()
    assert before
    assert descendants() == []
    assert not (home / "stack.json").exists()
    assert (home / "postgres" / "PG_VERSION").exists()


def test_a_server_that_dies_ends_the_stack_with_its_log(stack: Stack) -> None:
    port = stack.environment["TEMPORAL_ADDRESS"].rpartition(":")[2]  # not the one other tests share
    servers = [child for child in psutil.Process().children() if child.name() == "temporal"]
    server = next(child for child in servers if port in child.cmdline())
    server.kill()

    def is_noticed() -> bool:
        try:
            return bool(stack.supervisor.check())
        except Misuse as error:
            return "Temporal ended unexpectedly" in error.sentence and "temporal.log" in error.sentence

    eventually(is_noticed)


def test_a_start_that_fails_stops_what_it_had_started(
    settings: Settings, home: Path, descendants: Callable[[], list[str]]
) -> None:
    (home / "temporal").write_text("in the way")
    with pytest.raises(FileExistsError):
        Stack(settings, SERVERS_ONLY).start()
    assert descendants() == []
    assert not (home / "stack.json").exists()


def test_a_database_of_ones_own_that_does_not_answer_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, descendants: Callable[[], list[str]]
) -> None:
    monkeypatch.setenv("GTMC_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:9/gtmc")
    monkeypatch.setenv("DAGSTER_PG_URL", "postgresql+psycopg2://nobody:secret@127.0.0.1:9/dagster")
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", "ab" * 32)
    with pytest.raises(Misuse, match="Migrations failed") as caught:
        Stack(load_settings(), SERVERS_ONLY).start()
    assert "secret" not in str(caught.value)
    assert descendants() == []


def test_with_a_database_of_ones_own_no_second_server_starts(
    postgres_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GTMC_DATABASE_URL", postgres_url)
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", "ab" * 32)
    with Stack(load_settings(), SERVERS_ONLY) as running:
        running.start()
        assert not (home / "postgres").exists()
        assert "GTMC_DATABASE_URL" not in (home / "stack.json").read_text()
        assert not (home / "encryption.key").exists()
    beside = url_beside(postgres_url).replace("+psycopg2", "")
    psycopg.connect(beside).close()


def test_a_server_that_refuses_dagsters_database_asks_for_its_url() -> None:
    with pytest.raises(Misuse, match="could not be created beside") as caught:
        create_beside("postgresql://me:secret@127.0.0.1:9/gtmc")
    assert "DAGSTER_PG_URL" in caught.value.next_step


def test_gtmc_up_stops_cleanly_on_ctrl_c(home: Path) -> None:
    command = [sys.executable, "-m", "gtmc_pipelines.cli.main", "up", "--no-sandbox", "--no-dagster"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_environment({})) as process:
        eventually(lambda: (home / "stack.json").exists(), within_seconds=60)
        assert json.loads((home / "stack.json").read_text())["pid"] == process.pid
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Temporal UI" in output
    assert children
    assert not any(child.is_running() for child in children)
