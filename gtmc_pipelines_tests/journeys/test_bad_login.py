"""OAuth that goes wrong, at the command line: wrong redirect, wrong state, refusal, a withdrawn grant."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.connectors.salesforce_scene import Org
from gtmc_pipelines_tests.journeys.desk import Desk

pytestmark = pytest.mark.services


@pytest.fixture
def here(desk: Desk, tenant: str) -> tuple[str, ...]:
    """Options that name a tenant and its Salesforce, not connected yet."""
    assert desk.gtmc("connectors", "add", "--tenant", tenant, "--type", "salesforce").status == 0
    return ("--tenant", tenant, "--connector", "salesforce")


def _at_callback(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda url: change(url) if "/services/" not in url else url


@pytest.mark.parametrize(
    ("bend", "words"),
    [
        (lambda url: url.replace("code=", "code=x"), "gtmc connectors connect"),
        (lambda url: url.replace("code=", "error=access_denied&x="), "not granted (access_denied)"),
        (lambda url: url.replace("code=", "error=<script>&x="), "not granted (unknown)"),
    ],
    ids=["code", "denied", "script"],
)
def test_a_login_that_comes_back_wrong_stores_nothing(
    desk: Desk, here: tuple[str, ...], tenant: str, database: Database, bend: Callable[[str], str], words: str
) -> None:
    text = desk.log_in(*here, "--login-hint", "acme", bend=_at_callback(bend)).refuses(words)
    assert "script" not in text
    assert _config(database, tenant)["secrets"] == {}
    assert _status(desk, here) == "disconnected"


def test_a_user_who_refuses_is_not_connected(desk: Desk, here: tuple[str, ...], org: Org) -> None:
    org.break_("access_denied", count=1)
    desk.log_in(*here, "--login-hint", "acme").refuses("access_denied", "gtmc connectors connect")
    assert _status(desk, here) == "disconnected"


def test_a_state_of_another_login_is_not_found_and_the_login_goes_on(desk: Desk, here: tuple[str, ...]) -> None:
    seen: list[str] = []

    def state_of(url: str) -> str:
        return url.partition("state=")[2].partition("&")[0]

    def replayed(url: str) -> str:
        seen.append(state_of(url))
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url.replace(seen[-1], seen[0] if seen[:-1] else "none"), timeout=10)
        return url

    for _ in range(2):
        assert desk.log_in(*here, "--login-hint", "acme", bend=_at_callback(replayed)).status == 0
    assert seen[0] != seen[1]


def test_a_callback_that_can_not_work_is_refused_before_the_browser_opens(desk: Desk, here: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for url, words in {
            f"http://localhost:{port}/callback": f"Port {port}",
            "https://app.example/callback": "doesn't lead to this machine",
            f"http://127.0.0.1:{free_port()}/callback": "plain http is for `localhost` alone",
            "http://localhost:99999/callback": "can't be parsed",
            "http://[": "can't be parsed",
        }.items():
            said = desk.with_(SALESFORCE_CALLBACK_URL=url).gtmc("connectors", "connect", *here, "--no-browser")
            said.refuses(words, "SALESFORCE_CALLBACK_URL")
            assert "http" not in said.out


def test_a_login_host_that_is_no_salesforce_is_refused(desk: Desk, here: tuple[str, ...]) -> None:
    for url in ("http://attacker.example", "https://169.254.169.254", "nonsense"):
        said = desk.with_(SALESFORCE_LOGIN_URL=url).gtmc("connectors", "connect", *here, "--no-browser", within=30)
        said.refuses()


def test_a_withdrawn_grant_asks_to_connect_again_and_connecting_again_mends_it(
    desk: Desk, here: tuple[str, ...], org: Org
) -> None:
    assert desk.log_in(*here, "--login-hint", "acme").status == 0
    org.break_("expired_session", count=1)
    org.break_("revoke_grant", count=1)
    with desk.worker():
        desk.gtmc("sync", *here, "--stream", "accounts").refuses("gtmc connectors connect")
        assert _status(desk, here) == "error"
        assert desk.log_in(*here, "--login-hint", "acme").status == 0
        assert desk.gtmc("sync", *here, "--stream", "accounts").status == 0
    assert _status(desk, here) == "connected"


def _status(desk: Desk, here: tuple[str, ...]) -> str:
    return str(json.loads(desk.gtmc("connectors", "show", *here, "--json").out)["status"])


def _config(database: Database, tenant: str) -> dict[str, dict[str, object]]:
    with database.tenant(tenant) as connection:
        found: dict[str, dict[str, object]] = connection.exec_driver_sql("SELECT config FROM connectors").scalar_one()
    return found
