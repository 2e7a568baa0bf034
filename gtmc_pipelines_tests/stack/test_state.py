"""What a running stack tells other terminals, and that a dead one tells nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import child_environment, load_settings, running_stack
from gtmc_pipelines.stack.encryption_key import key_file_for
from gtmc_pipelines.stack.state import StackState

ADDRESSES = {"Dagster UI": "http://127.0.0.1:3000"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("GTMC_DATABASE_URL", "TEMPORAL_ADDRESS", "CONNECTOR_ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GTMC_HOME", str(tmp_path))
    return monkeypatch


@pytest.fixture
def running(tmp_path: Path) -> StackState:
    """A stack of this very process."""
    key_file = key_file_for(load_settings(), tmp_path)
    state = StackState(tmp_path)
    state.write({"GTMC_DATABASE_URL": "postgresql://stack/db", "TEMPORAL_ADDRESS": "stack:1"}, ADDRESSES, key_file)
    return state


def test_another_terminal_finds_addresses_and_key_of_the_running_stack(running: StackState, tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.temporal_address == "stack:1"
    assert settings.required("encryption_key").get_secret_value() == (tmp_path / "encryption.key").read_text().strip()


def test_the_environment_wins_over_the_stack(running: StackState, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TEMPORAL_ADDRESS", "mine:1")
    assert load_settings().temporal_address == "mine:1"


def test_the_stacks_key_is_never_used_for_a_database_of_ones_own(
    running: StackState, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("GTMC_DATABASE_URL", "postgresql://mine/db")
    assert load_settings().encryption_key is None


def test_no_secret_stands_in_the_file(running: StackState, tmp_path: Path) -> None:
    assert (tmp_path / "encryption.key").read_text().strip() not in running.file.read_text()
    for file in (running.file, tmp_path / "encryption.key"):
        assert file.stat().st_mode & 0o077 == 0


def test_client_secrets_stand_in_a_file_of_their_own_and_are_found_all_the_same(tmp_path: Path) -> None:
    state = StackState(tmp_path)
    state.write({"SALESFORCE_CLIENT_ID": "app", "SALESFORCE_CLIENT_SECRET": "hush-hush"}, ADDRESSES, None)
    assert "hush-hush" not in state.file.read_text()
    assert load_settings().required("salesforce_client_secret").get_secret_value() == "hush-hush"
    (kept,) = [file for file in tmp_path.iterdir() if "hush-hush" in file.read_text()]
    assert kept.stat().st_mode & 0o077 == 0
    state.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_owners_login_is_given_to_no_process_unasked(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GTMC_OWNER_DATABASE_URL", "postgresql://owner:hush-hush@mine/db")
    assert not [value for value in child_environment({"GTMC_HOME": "x"}).values() if "hush-hush" in value]
    assert child_environment({"GTMC_OWNER_DATABASE_URL": "asked"})["GTMC_OWNER_DATABASE_URL"] == "asked"


def test_a_stack_that_is_gone_tells_nothing(running: StackState, tmp_path: Path) -> None:
    content = json.loads(running.file.read_text())
    running.file.write_text(json.dumps({**content, "pid": 2**22 + 1}))
    assert running_stack(tmp_path) is None
    assert load_settings().temporal_address is None


def test_a_process_that_got_the_same_number_is_not_the_stack(running: StackState, tmp_path: Path) -> None:
    content = json.loads(running.file.read_text())
    running.file.write_text(json.dumps({**content, "pid_started": content["pid_started"] - 3600}))
    assert running_stack(tmp_path) is None


def test_a_second_stack_on_the_same_home_is_refused_with_the_addresses(running: StackState) -> None:
    with pytest.raises(Misuse, match="Dagster UI http"):
        running.refuse_a_second()


def test_removing_forgets_the_stack(running: StackState, tmp_path: Path) -> None:
    running.remove()
    assert running_stack(tmp_path) is None


def test_the_key_stays_the_same_between_starts(tmp_path: Path) -> None:
    first = key_file_for(load_settings(), tmp_path)
    assert first is not None
    key = first.read_text()
    assert key_file_for(load_settings(), tmp_path) == first
    assert first.read_text() == key


def test_a_database_of_ones_own_needs_a_key_of_ones_own(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("GTMC_DATABASE_URL", "postgresql://mine/db")
    with pytest.raises(Misuse, match="CONNECTOR_ENCRYPTION_KEY"):
        key_file_for(load_settings(), tmp_path)
