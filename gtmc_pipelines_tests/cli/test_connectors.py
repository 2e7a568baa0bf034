"""`gtmc tenants` and `gtmc connectors` as a user sees them, against the imitated Salesforce."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner, Result

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.connectors.contract import Credentials
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.salesforce.auth import refresh
from gtmc_pipelines.model.errors import Broken, GtmcError, Misuse, Reauthorize
from gtmc_pipelines.settings import child_environment, load_settings
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import list_tenants
from gtmc_pipelines.vault.keyring import generate_key_hex
from gtmc_pipelines.workflows import authorization
from gtmc_pipelines.workflows.composition import compose, key_ring
from gtmc_pipelines_tests.connectors.salesforce_scene import Org

pytestmark = pytest.mark.services

runner = CliRunner()


class Browser:
    """Follows the login's redirects as a person's browser would; `bend` changes where it is sent back to."""

    def __init__(self) -> None:
        self.bend: Callable[[str], str] = lambda url: url
        self.urls: list[str] = []
        self.threads: list[threading.Thread] = []

    def open(self, url: str) -> bool:
        self.urls.append(url)
        self.threads.append(threading.Thread(target=self._follow, args=(url,)))
        self.threads[-1].start()
        return True

    def _follow(self, url: str) -> None:
        browser = self

        class Redirects(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
                return super().redirect_request(req, fp, code, msg, headers, browser.bend(newurl))

        urllib.request.build_opener(Redirects).open(url, timeout=10).close()


@pytest.fixture
def org(
    sandbox: dict[str, Any], database: Database, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Org:
    """The org `acme`, and settings under which `gtmc` finds it."""
    found = Org.of(sandbox)
    found.ask("POST", "reset", {})
    for name, value in {
        "GTMC_HOME": str(tmp_path),
        "GTMC_DATABASE_URL": postgres_url,
        "CONNECTOR_ENCRYPTION_KEY": generate_key_hex(),
        "SALESFORCE_CLIENT_ID": found.client_id,
        "SALESFORCE_CLIENT_SECRET": found.client_secret,
        "SALESFORCE_LOGIN_URL": found.base,
        "SALESFORCE_CALLBACK_URL": found.callback,
        "GTMC_SANDBOX_HOSTS": found.host,
    }.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    found = Browser()
    monkeypatch.setattr("webbrowser.open", found.open)
    yield found
    for thread in found.threads:
        thread.join()


def gtmc(*arguments: str) -> Result:
    """Run a command that succeeds."""
    result = runner.invoke(app, list(arguments))
    assert result.exception is None, result.exception
    assert result.exit_code == 0
    return result


def refusal(*arguments: str) -> GtmcError:
    """Run a command that ends with one of our errors."""
    result = runner.invoke(app, list(arguments))
    assert isinstance(result.exception, GtmcError), result.exception
    return result.exception


def _here(tenant: str) -> tuple[str, ...]:
    return ("--tenant", tenant, "--connector", "salesforce")


def _connect(tenant: str) -> Result:
    return gtmc("connectors", "connect", *_here(tenant), "--login-hint", "acme", "--json")


def _status(tenant: str) -> str:
    return str(json.loads(gtmc("connectors", "show", *_here(tenant), "--json").stdout)["status"])


@pytest.fixture
def added(org: Org, tenant: str) -> str:
    """A tenant with a Salesforce connector that isn't connected yet."""
    gtmc("connectors", "add", "--tenant", tenant, "--type", "salesforce", "--option", "bulk_threshold=10")
    return tenant


def test_a_tenant_is_added_and_listed(org: Org, database: Database, tenant: str) -> None:
    gtmc("tenants", "add", f"{tenant}-two", "--name", "Two")
    assert f"{tenant}-two" in {one.id for one in list_tenants(database)}
    listed = json.loads(gtmc("tenants", "list", "--json").stdout)
    assert {"id", "name", "created_at"} <= set(listed[0])
    assert refusal("tenants", "add", f"{tenant}-two").code == "tenant_exists"
    assert refusal("tenants", "add", "No Good").code == "bad_tenant_id"


def test_a_connector_goes_from_added_to_connected_to_disconnected(added: str, org: Org, browser: Browser) -> None:
    assert _status(added) == "disconnected"
    connected = json.loads(_connect(added).stdout)
    assert connected["status"] == "connected"
    assert set(connected["required_scopes"]) <= set(connected["scopes"])
    assert connected["options"]["instance_url"] == org.base
    assert connected["options"]["bulk_threshold"] == 10
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(browser.urls[0]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [org.callback]

    verified = json.loads(gtmc("connectors", "verify", *_here(added), "--json").stdout)
    assert verified["healthy"] is True

    told = json.loads(gtmc("connectors", "disconnect", *_here(added), "--json").stdout)
    assert told["revocation"] == "revoked at Salesforce"
    assert any("oauth2/revoke" in one["path"] for one in org.requests("revoke"))
    assert _status(added) == "disconnected"
    assert refusal("connectors", "verify", *_here(added)).code == "not_connected"


def test_no_secret_is_ever_printed_or_stored_open(added: str, org: Org, browser: Browser, database: Database) -> None:
    printed = _connect(added).output
    for command in ("show", "verify"):
        printed += gtmc("connectors", command, *_here(added)).output
    printed += gtmc("connectors", "list", "--tenant", added, "--json").output
    with database.tenant(added) as connection:
        stored = str(connection.exec_driver_sql("SELECT config FROM connectors").scalar())
    row = require_connector(database, added, "salesforce")
    secrets = StoredCredentials(database, key_ring(load_settings()), added, row.id).read()
    assert {"access_token", "refresh_token"} <= set(secrets)
    for text in (printed, stored):
        assert secrets["access_token"].reveal() not in text
        assert secrets["refresh_token"].reveal() not in text
        assert org.client_secret not in text
    assert stored.count("gtmc2.") == len(secrets)


def test_connecting_again_replaces_the_grant_and_keeps_the_options(added: str, browser: Browser) -> None:
    first = json.loads(_connect(added).stdout)
    second = json.loads(_connect(added).stdout)
    assert first["options"] == second["options"]
    gtmc("connectors", "verify", *_here(added))


def test_the_address_stands_alone_on_a_line_for_scripts(added: str, browser: Browser) -> None:
    result = gtmc("connectors", "connect", *_here(added), "--login-hint", "acme")
    lines = [line for line in result.stdout.splitlines() if line.startswith("http")]
    assert lines == [browser.urls[0]]
    assert "scopes granted: api refresh_token; required: api refresh_token" in result.stdout


@pytest.mark.parametrize(
    ("bend", "code"),
    [
        (lambda url: url.replace("code=", "code=x"), "grant_revoked"),
        (lambda url: url.replace("code=", "nothing="), "oauth_incomplete"),
        (lambda url: url.replace("code=", "error=access_denied&nothing="), "oauth_denied"),
    ],
    ids=["code", "nothing", "error"],
)
def test_a_login_that_goes_wrong_leaves_nothing_half_written(
    added: str, browser: Browser, database: Database, bend: Callable[[str], str], code: str
) -> None:
    browser.bend = lambda url: bend(url) if "/services/" not in url else url
    error = refusal("connectors", "connect", *_here(added), "--login-hint", "acme")
    assert error.code == code
    assert isinstance(error, Misuse | Reauthorize)
    assert error.next_step
    assert _status(added) == "disconnected"
    with database.tenant(added) as connection:
        config = connection.exec_driver_sql("SELECT config FROM connectors").scalar()
    assert config == {"options": {"bulk_threshold": 10}, "secrets": {}}


def test_whoever_else_calls_at_the_callback_is_not_found_and_the_login_goes_on(added: str, browser: Browser) -> None:
    def disturbed(url: str) -> str:
        if "/services/" not in url:
            for stranger in (url.replace("/callback", "/x"), url.replace("state=", "state=x"), url.partition("?")[0]):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    urllib.request.urlopen(stranger, timeout=10)
        return url

    browser.bend = disturbed
    assert json.loads(_connect(added).stdout)["proven"]


def test_a_login_that_salesforce_never_sends_back_says_what_the_administrator_can_do(
    added: str, org: Org, database: Database
) -> None:
    org.break_("app_not_installed", count=1)
    pages: list[str] = []

    def look(url: str) -> None:
        with urllib.request.urlopen(f"{url}&login_hint=acme", timeout=10) as page:
            pages.append(page.url)

    row = require_connector(database, added, "salesforce")
    with pytest.raises(Misuse) as caught:
        authorization.connect_in_browser(load_settings(), database, row, show=look, actor="ada", wait_seconds=0.05)
    assert "error_description=app+must+be+installed+into+org" in pages[0]
    assert caught.value.code == "oauth_no_answer"
    assert "Approve Uninstalled Connected Apps" in caught.value.next_step
    assert "OAUTH_APPROVAL_ERROR_GENERIC" in caught.value.next_step


def test_a_callback_that_salesforce_does_not_register_is_refused_before_the_login(
    added: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SALESFORCE_CALLBACK_URL", f"http://127.0.0.1:{free_port()}/callback")
    error = refusal("connectors", "connect", *_here(added))
    assert error.code == "callback_not_registrable"
    assert "http://localhost:8400/callback" in error.next_step
    assert browser.urls == []


def test_a_failed_reconnection_keeps_the_connection_there_was(added: str, browser: Browser) -> None:
    _connect(added)
    browser.bend = lambda url: url.replace("code=", "code=x")
    refusal("connectors", "connect", *_here(added), "--login-hint", "acme")
    assert _status(added) == "connected"
    gtmc("connectors", "verify", *_here(added))


def test_a_revoked_grant_is_said_by_verify(added: str, org: Org, browser: Browser) -> None:
    _connect(added)
    org.break_("expired_session", count=1)
    org.break_("revoke_grant", count=1)
    error = refusal("connectors", "verify", *_here(added))
    assert "Connect Salesforce again" in str(error)


def test_a_renewal_under_way_ends_first_so_that_the_newest_grant_is_revoked(
    added: str, browser: Browser, database: Database, postgres_url: str
) -> None:
    _connect(added)
    settings, row = load_settings(), require_connector(database, added, "salesforce")
    stored, composed = StoredCredentials(database, key_ring(settings), added, row.id), compose(settings, row)
    started: list[subprocess.Popen[str]] = []

    def exchange(current: Credentials) -> Credentials:
        """The vendor has taken the old refresh token back; somebody disconnects before the new one is stored."""
        with VendorSession("Salesforce", composed) as http:
            renewed = refresh(http, composed, current)
        command = [sys.executable, "-m", "gtmc_pipelines.cli.main", "connectors", "disconnect", *_here(added), "--json"]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_environment({})))
        _until_it_waits_or_ends(postgres_url, started[0])
        return renewed

    renewed = stored.renew(stored.read()["access_token"], exchange)
    told = json.loads(started[0].communicate(timeout=60)[0])
    assert told["revocation"] == "revoked at Salesforce"
    assert stored.read() == {}
    with VendorSession("Salesforce", composed) as http, pytest.raises(Reauthorize):
        refresh(http, composed, renewed)


def _until_it_waits_or_ends(postgres_url: str, process: subprocess.Popen[str]) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    url = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        while process.poll() is None and connection.execute(waiting).fetchone() == (0,):
            pass


def test_disconnecting_works_when_the_vendor_does_not(added: str, org: Org, browser: Browser) -> None:
    _connect(added)
    org.ask("POST", "knobs", {"fault": "server_error", "path": "revoke", "status": 501})
    told = json.loads(gtmc("connectors", "disconnect", *_here(added), "--json").stdout)["revocation"]
    assert told.startswith("not revoked")
    assert _status(added) == "disconnected"


def test_a_connection_that_can_not_be_opened_can_still_be_disconnected(
    added: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    _connect(added)
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", generate_key_hex())
    assert isinstance(refusal("connectors", "verify", *_here(added)), Broken)
    gtmc("connectors", "disconnect", *_here(added))


def test_without_an_encryption_key_nobody_is_sent_to_log_in(
    added: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONNECTOR_ENCRYPTION_KEY")
    assert refusal("connectors", "connect", *_here(added)).code == "no_encryption_key"
    assert browser.urls == []


def test_a_taken_callback_port_is_one_sentence(added: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("SALESFORCE_CALLBACK_URL", f"http://localhost:{taken.getsockname()[1]}/callback")
        assert refusal("connectors", "connect", *_here(added)).code == "callback_port_taken"
    monkeypatch.setenv("SALESFORCE_CALLBACK_URL", "https://app.example/oauth/callback")
    assert refusal("connectors", "connect", *_here(added)).code == "callback_not_local"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--type", "salesforce"), "connector_exists"),
        (("--type", "sap"), "unknown_connector_type"),
        (("--type", "salesforce", "--option", "colour=red"), "unknown_option"),
        (("--type", "salesforce", "--option", "bulk_threshold"), "unknown_option"),
        (("--type", "salesforce", "--option", "bulk_threshold=many"), "bad_option"),
        (("--type", "salesforce", "--option", "login_url=https://127.0.0.2"), "bad_option"),
        (("--type", "salesforce", "--option", "login_url=http://login.salesforce.com"), "bad_option"),
    ],
)
def test_adding_refuses_what_makes_no_sense(added: str, arguments: tuple[str, ...], code: str) -> None:
    assert refusal("connectors", "add", "--tenant", added, *arguments).code == code


def test_unknown_tenants_and_connectors_are_named(added: str) -> None:
    assert refusal("connectors", "add", "--tenant", "nobody", "--type", "salesforce").code == "unknown_tenant"
    assert refusal("connectors", "show", "--tenant", added, "--connector", "salesfors").code == "unknown_connector"


def test_an_error_is_one_sentence_and_exit_status_one(added: str) -> None:
    command = [sys.executable, "-m", "gtmc_pipelines.cli.main", "connectors", "verify", *_here(added)]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment({}), check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Salesforce is not connected" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_says_so_when_it_is_empty(org: Org, tenant: str) -> None:
    assert "none" in gtmc("connectors", "list", "--tenant", tenant).stdout
    assert json.loads(gtmc("connectors", "list", "--tenant", tenant, "--json").stdout) == []


@pytest.mark.parametrize("words", ["connectors list", "syncs list", "audit list", "audit verify", "dead-letters list"])
def test_a_list_of_a_tenant_there_is_not_says_so_and_names_the_near_one(org: Org, tenant: str, words: str) -> None:
    refused = refusal(*words.split(), "--tenant", tenant[:-1])
    assert refused.code == "unknown_tenant"
    assert tenant in refused.next_step


def test_a_misspelled_type_is_told_the_near_one(org: Org, tenant: str) -> None:
    for words in (("connectors", "add", "--tenant", tenant, "--type"), ("syncs", "list", "--connector")):
        assert "Did you mean salesforce?" in refusal(*words, "salesfroce").next_step


def test_a_login_stopped_by_ctrl_c_says_that_nothing_was_stored_and_can_be_begun_again(
    org: Org, tenant: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gtmc("connectors", "add", "--tenant", tenant, "--type", "salesforce")

    def stop(_: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", stop)
    stopped = runner.invoke(app, ["connectors", "connect", *_here(tenant)])
    assert (stopped.exit_code, "nothing was stored" in stopped.output) == (130, True)
    assert require_connector(database, tenant, "salesforce").status == "disconnected"
    with database.tenant(tenant) as handle:
        assert handle.exec_driver_sql("SELECT count(*) FROM oauth_states").scalar_one() == 0
