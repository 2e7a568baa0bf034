"""Settings that are wrong: every command says all that is wrong with them, once, and does nothing."""

from __future__ import annotations

import socket

import pytest

from gtmc_pipelines_tests.journeys.desk import Desk

GONE = "postgresql://app:s3cret-pw@127.0.0.1:1/gtmc"


def test_every_malformed_setting_is_listed_at_once_and_no_value_is_repeated(empty_desk: Desk) -> None:
    wrong = {
        "CONNECTOR_ENCRYPTION_KEY": "abcdef0123456789",
        "GTMC_DATABASE_URL": "mysql://app:s3cret-pw@db/gtmc",
        "TEMPORAL_ADDRESS": "temporal-without-port",
        "GTMC_TOKEN_FORMAT": "v9",
        "GTMC_PAGE_RECORDS": "many",
        "GTMC_CA_FILE": "/there/is/none",
    }
    text = empty_desk.with_(**wrong).gtmc("tenants", "list").refuses(*wrong)
    for value in ("abcdef0123456789", "s3cret-pw", "temporal-without-port", "many"):
        assert value not in text


def test_without_a_stack_the_command_says_how_to_start_one(empty_desk: Desk) -> None:
    for command in (("tenants", "list"), ("sync", "-t", "a", "-c", "salesforce"), ("dead-letters", "list")):
        empty_desk.gtmc(*command).refuses("GTMC_DATABASE_URL is not set", "gtmc up")
    assert list(empty_desk.home.iterdir()) == []


@pytest.mark.parametrize("command", [("tenants", "list"), ("syncs", "list"), ("connectors", "list")])
def test_an_unreachable_database_is_named_without_its_password(empty_desk: Desk, command: tuple[str, ...]) -> None:
    text = empty_desk.with_(GTMC_DATABASE_URL=GONE).gtmc(*command).refuses("127.0.0.1:1/gtmc", "can't be reached")
    assert "s3cret-pw" not in text


def test_a_worker_without_a_key_ends_with_the_command_that_makes_one(empty_desk: Desk) -> None:
    refused = empty_desk.with_(GTMC_DATABASE_URL=GONE, TEMPORAL_ADDRESS="127.0.0.1:1").gtmc("worker")
    refused.refuses("CONNECTOR_ENCRYPTION_KEY is not set", "gtmc keys generate")
    key = empty_desk.gtmc("keys", "generate").out.strip()
    accepted = empty_desk.with_(GTMC_DATABASE_URL=GONE, CONNECTOR_ENCRYPTION_KEY=key).gtmc("worker")
    accepted.refuses("PostgreSQL at 127.0.0.1:1/gtmc can't be reached")


def test_a_database_of_ones_own_needs_a_key_of_ones_own(empty_desk: Desk) -> None:
    empty_desk.with_(GTMC_DATABASE_URL=GONE).gtmc("up").refuses("CONNECTOR_ENCRYPTION_KEY is not", "gtmc keys generate")
    assert not (empty_desk.home / "encryption.key").exists()


@pytest.mark.parametrize("content", ["not json", "{}", '{"pid": 1}'])
def test_a_damaged_note_of_a_stack_counts_as_no_stack(empty_desk: Desk, content: str) -> None:
    (empty_desk.home / "stack.json").write_text(content)
    empty_desk.gtmc("tenants", "list").refuses("no embedded stack is running")


def test_a_terminal_without_unicode_gets_every_sentence(empty_desk: Desk) -> None:
    ascii_only = empty_desk.with_(PYTHONIOENCODING="ascii")
    assert "gtmc up" in ascii_only.gtmc("tenants", "list").err
    shown = ascii_only.gtmc("doctor")
    assert (shown.status, shown.err) == (0, "")


def test_a_home_that_is_no_folder_is_refused(empty_desk: Desk) -> None:
    file = empty_desk.home / "file"
    file.touch()
    empty_desk.with_(GTMC_HOME=str(file)).gtmc("up").refuses("GTMC_HOME", "can't be used")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("synk",), ("Did you mean",)),
        (("sync",), ("--tenant",)),
        (("up", "--only", "everything"), ("sandbox, worker, dagster",)),
        (("sandbox", "--port", "99999"), ("--port",)),
        (("syncs", "list", "--limit", "0"), ("--limit",)),
    ],
)
def test_wrong_usage_exits_with_two(empty_desk: Desk, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    empty_desk.gtmc(*arguments).refuses(*words, status=2)


def test_a_taken_sandbox_port_is_named(empty_desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        empty_desk.gtmc("sandbox", "--vendor", "salesforce", "--port", port).refuses(f"127.0.0.1:{port} can't be used")


def test_doctor_says_the_next_step_for_each_broken_part(empty_desk: Desk) -> None:
    broken = empty_desk.with_(
        GTMC_DATABASE_URL=GONE, TEMPORAL_ADDRESS="127.0.0.1:1", GTMC_DAGSTER_URL="http://127.0.0.1:1"
    )
    said = broken.gtmc("doctor", "--json")
    assert (said.status, said.err) == (1, "")
    assert said.out.count('"state": "wrong"') == 4
    for words in (
        "gtmc keys generate",
        "correct GTMC_DATABASE_URL",
        "correct TEMPORAL_ADDRESS",
        "dagster-webserver.log",
    ):
        assert words in said.out
    assert "s3cret-pw" not in said.out


def test_doctor_refuses_malformed_settings_too(empty_desk: Desk) -> None:
    empty_desk.with_(CONNECTOR_ENCRYPTION_KEY="short").gtmc("doctor").refuses("CONNECTOR_ENCRYPTION_KEY")
