"""`gtmc o365` and the admin consent of `gtmc connectors connect`, as a user sees them."""

from __future__ import annotations

import json
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.connectors.o365.api import O365Session
from gtmc_pipelines.defs.resources import O365Resource
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.errors import GtmcError, Misuse, Reauthorize
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.stack.sandbox_part import local_callbacks
from gtmc_pipelines.storage.connectors import add_connector, find_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import get_config
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.keyring import generate_key_hex
from gtmc_pipelines_tests.connectors.o365_scene import Directory
from gtmc_pipelines_tests.workflows.conftest import running_worker

pytestmark = pytest.mark.services

runner = CliRunner()


@pytest.fixture
def directory(
    sandbox: dict[str, Any], database: Database, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Directory:
    """The directory `acme`, and settings under which `gtmc` finds it."""
    found = Directory(sandbox["vendors"]["o365"], sandbox["ca_file"])
    found.ask("POST", "reset", {})
    settings = found.settings()
    for name, value in {
        "GTMC_HOME": str(tmp_path),
        "GTMC_DATABASE_URL": postgres_url,
        "CONNECTOR_ENCRYPTION_KEY": generate_key_hex(),
        "O365_CLIENT_ID": settings.app["client_id"].reveal(),
        "O365_CLIENT_SECRET": settings.app["client_secret"].reveal(),
        "O365_LOGIN_URL": found.vendor["http"],
        "O365_GRAPH_URL": f"{found.vendor['http']}/v1.0",
        "GTMC_SANDBOX_HOSTS": ",".join(settings.sandbox_hosts),
        "GTMC_CA_FILE": found.ca_file,
        "O365_REDIRECT_URI": local_callbacks(found.vendor)[0],
    }.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Follows the consent page's redirect, as the administrator's browser would; gives the addresses opened."""
    urls: list[str] = []
    threads: list[threading.Thread] = []

    def follow(url: str) -> None:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10).close()

    def start(url: str) -> bool:
        urls.append(url)
        threads.append(threading.Thread(target=follow, args=(url,)))
        threads[-1].start()
        return True

    monkeypatch.setattr("webbrowser.open", start)
    yield urls
    for thread in threads:
        thread.join()


def gtmc(*arguments: str) -> Result:
    """Run a command that succeeds."""
    result = runner.invoke(app, list(arguments))
    assert result.exception is None, result.exception
    return result


def refusal(*arguments: str) -> GtmcError:
    """Run a command that ends with one of our errors."""
    result = runner.invoke(app, list(arguments))
    assert isinstance(result.exception, GtmcError), result.exception
    return result.exception


def _domains(tenant: str) -> Any:
    return json.loads(gtmc("o365", "domains", "list", "--tenant", tenant, "--json").stdout)


def test_an_administrator_connects_and_the_directory_is_kept(
    directory: Directory, browser: list[str], tenant: str, database: Database
) -> None:
    gtmc("connectors", "add", "--tenant", tenant, "--type", "o365")
    here = ("--tenant", tenant, "--connector", "o365")
    shown = gtmc("connectors", "connect", *here, "--login-hint", "acme").stdout
    assert "Office 365 connected" in shown
    assert "Mail.ReadBasic.All" in shown
    assert "/acme/oauth2/v2.0/authorize?" in browser[0]
    assert len(browser) == 1, "the browser is led on by itself"
    assert f"reads from: acme.example (directory {directory.org['directory_id']})" in shown
    row = find_connector(database, tenant, ConnectorType.O365)
    assert row is not None
    assert row.status is ConnectorStatus.CONNECTED
    assert row.options["organization_id"] == directory.org["directory_id"]
    gtmc("o365", "accept-dpa", "--tenant", tenant)
    assert "✓" in gtmc("connectors", "verify", *here).stdout
    assert "administrator" in gtmc("connectors", "disconnect", *here).stdout


def test_an_app_with_scoped_mail_is_connected_and_synced_like_any_other(
    directory: Directory,
    browser: list[str],
    tenant: str,
    database: Database,
    temporal_address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Consent to User.Read.All alone, and the role Application Mail.ReadBasic for one mailbox."""
    inside, outside = directory.mailbox(0), directory.mailbox(1)
    directory.break_("mail_scoped", scope=[inside])
    here = ("--tenant", tenant, "--connector", "o365")
    gtmc("connectors", "add", "--tenant", tenant, "--type", "o365", "--option", "lookback_days=3")
    gtmc("o365", "accept-dpa", "--tenant", tenant)
    gtmc("o365", "domains", "add", "--tenant", tenant, "--own", directory.org["domain"], *directory.allowed)
    shown = gtmc("connectors", "connect", *here, "--login-hint", "acme").stdout
    assert "mail access: scoped" in shown
    assert "role Application Mail.ReadBasic" in shown
    assert json.loads(gtmc("connectors", "verify", *here, "--json").stdout)["mail_access"] == "scoped"
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    monkeypatch.setenv("GTMC_TASK_QUEUE", f"test-{uuid.uuid4().hex[:12]}")
    with running_worker(load_settings(), database):
        synced = json.loads(gtmc("sync", *here, "--wait", "--json").stdout)
    assert synced["outcome"] == "completed", synced
    told = gtmc("syncs", "show", synced["sync_log_id"]).stdout
    assert "out_of_scope" in told
    assert outside in told
    assert inside not in told
    with database.tenant(tenant) as handle:
        assert rows(handle, "SELECT DISTINCT slice FROM raw.o365_email_metadata") == [{"slice": inside}]


def test_without_the_agreement_an_administrator_connects_and_graph_is_not_asked(
    directory: Directory, browser: list[str], tenant: str, database: Database
) -> None:
    gtmc("connectors", "add", "--tenant", tenant, "--type", "o365")
    here = ("--tenant", tenant, "--connector", "o365")
    shown = gtmc("connectors", "connect", *here, "--login-hint", "acme").stdout
    assert "Office 365 connected" in shown
    assert f"Not tried yet. Tenant {tenant} has not accepted" in shown
    assert f"gtmc o365 accept-dpa --tenant {tenant}" in shown
    assert refusal("connectors", "verify", *here).code == "dpa_not_accepted"
    for call in (O365Resource().session, O365Resource().client):
        with pytest.raises(Reauthorize) as refused, call(tenant):
            pass
        assert refused.value.code == "dpa_not_accepted"
    own = directory.org["directory_id"]
    signing_in = {"/acme/oauth2/v2.0/authorize", "/acme/oauth2/v2.0/token", f"/{own}/discovery/v2.0/keys"}
    assert {one["path"] for one in directory.requests()} == signing_in | {f"/{own}/adminconsent"}
    gtmc("o365", "accept-dpa", "--tenant", tenant)
    connected = json.loads(gtmc("connectors", "connect", *here, "--login-hint", "acme", "--json").stdout)
    assert connected["proven"]
    assert directory.requests("/users")


def test_a_session_for_ad_hoc_work_has_the_lists_of_the_agreement_whatever_the_connector_says(
    directory: Directory, browser: list[str], tenant: str, database: Database
) -> None:
    options = {"allowed_domains": ["everybody.example"], "own_domains": []}
    add_connector(database, tenant, "o365", options=options)
    gtmc("o365", "accept-dpa", "--tenant", tenant)
    gtmc("o365", "domains", "add", "--tenant", tenant, "--own", "acme.example", "partner.com")
    gtmc("connectors", "connect", "--tenant", tenant, "--connector", "o365", "--login-hint", "acme")
    with O365Resource().session(tenant) as session:
        assert isinstance(session, O365Session)
        assert session.policy.is_allowed("kim@partner.com")
        assert not session.policy.is_allowed("kim@everybody.example")


def test_an_administrator_who_refuses_leaves_nothing_connected(
    directory: Directory, browser: list[str], tenant: str, database: Database
) -> None:
    directory.break_("consent_refused")
    gtmc("connectors", "add", "--tenant", tenant, "--type", "o365")
    error = refusal("connectors", "connect", "--tenant", tenant, "--connector", "o365", "--login-hint", "acme")
    assert isinstance(error, Reauthorize)
    assert error.code == "oauth_denied"
    row = find_connector(database, tenant, ConnectorType.O365)
    assert row is not None
    assert row.status is ConnectorStatus.DISCONNECTED


RIVAL = "rival"


@pytest.mark.parametrize(
    ("fault", "parameters", "code"),
    [
        ("signs_in", {"user": "guest"}, "not_an_administrator"),
        ("signs_in", {"user": "member"}, "not_an_administrator"),
        ("consent_elsewhere", {"directory": RIVAL}, "another_directory"),
        ("id_token_bent", {"claims": {"aud": "another"}}, "id_token_refused"),
        ("id_token_bent", {"claims": {"tid": RIVAL}}, "id_token_refused"),
    ],
    ids=["guest", "member", "rival in the redirect", "token of another app", "rival in the token"],
)
def test_nobody_is_bound_to_a_directory_without_proof(
    directory: Directory,
    browser: list[str],
    tenant: str,
    database: Database,
    fault: str,
    parameters: dict[str, Any],
    code: str,
) -> None:
    rival = directory.vendor["credentials"]["orgs"]["globex"]["directory_id"]
    directory.break_(fault, **json.loads(json.dumps(parameters).replace(RIVAL, rival)))
    gtmc("connectors", "add", "--tenant", tenant, "--type", "o365")
    gtmc("o365", "accept-dpa", "--tenant", tenant)
    error = refusal("connectors", "connect", "--tenant", tenant, "--connector", "o365", "--login-hint", "acme")
    assert isinstance(error, Reauthorize)
    assert error.code == code
    assert directory.requests("/users") == []
    with database.tenant(tenant) as handle:
        assert rows(handle, "SELECT config -> 'secrets' AS secrets FROM connectors") == [{"secrets": {}}]
        assert rows(handle, "SELECT FROM connection_owners") == []
        assert rows(handle, "SELECT FROM oauth_states") == []


def test_a_directory_another_tenant_holds_is_refused_until_it_is_let_go(
    directory: Directory, browser: list[str], tenant: str, database: Database
) -> None:
    rival = f"rival-{tenant}"
    add_tenant(database, rival)
    for each in (tenant, rival):
        gtmc("connectors", "add", "--tenant", each, "--type", "o365")
    words = ("connectors", "connect", "--connector", "o365", "--login-hint", "acme", "--tenant")
    gtmc(*words, tenant)
    error = refusal(*words, rival)
    assert error.code == "account_held"
    assert tenant not in str(error).replace(rival, "")
    gtmc("connectors", "disconnect", "--tenant", tenant, "--connector", "o365")
    gtmc(*words, rival)
    gtmc("connectors", "disconnect", "--tenant", rival, "--connector", "o365")


def test_the_agreement_is_accepted_and_withdrawn_by_somebody_at_a_time(
    directory: Directory, tenant: str, database: Database
) -> None:
    assert "not accepted" in gtmc("o365", "domains", "list", "--tenant", tenant).stdout
    shown = gtmc("o365", "accept-dpa", "--tenant", tenant, "--by", "Ada", "--version", "2026-01").stdout
    assert "accepted" in shown
    assert "nothing is kept" in shown
    with database.tenant(tenant) as handle:
        config = get_config(handle, tenant)
        assert (config.dpa_accepted_by, config.dpa_version, config.is_accepted) == ("Ada", "2026-01", True)
    assert "by Ada" in gtmc("o365", "domains", "list", "--tenant", tenant).stdout
    assert json.loads(gtmc("o365", "withdraw-dpa", "--tenant", tenant, "--by", "Bob", "--json").stdout)["withdrawn"]
    assert "No agreement" in gtmc("o365", "withdraw-dpa", "--tenant", tenant).stdout
    with database.tenant(tenant) as handle:
        assert not get_config(handle, tenant).is_accepted
        audited = rows(handle, "SELECT user_id, action FROM audit_log WHERE action LIKE 'o365.%%' ORDER BY created_at")
    assert [each["action"] for each in audited] == ["o365.accept_dpa", "o365.withdraw_dpa"]
    assert all(each["user_id"] for each in audited)


def test_domains_are_added_and_removed_in_one_form(directory: Directory, tenant: str) -> None:
    gtmc("o365", "domains", "add", "--tenant", tenant, "--own", "Acme.example", "Partner.COM", "kim@other.example")
    gtmc("o365", "domains", "add", "--tenant", tenant, "partner.com", "third.example.")
    found = _domains(tenant)
    assert found["allowed_domains"] == ["other.example", "partner.com", "third.example"]
    assert found["own_domain"] == "acme.example"
    gtmc("o365", "domains", "remove", "--tenant", tenant, "OTHER.example", "third.example")
    assert _domains(tenant)["allowed_domains"] == ["partner.com"]
    assert _domains(tenant)["own_domain"] == "acme.example"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "acme.example", "--own", "acme.example"), "own_domain"),
        (("add", "eu.acme.example", "--own", "acme.example"), "own_domain"),
        (("add", "*.partner.com"), "bad_domain"),
        (("add", "com"), "bad_domain"),
        (("remove", "never.example"), "domain_not_allowed"),
    ],
)
def test_a_domain_that_makes_no_sense_is_refused(
    directory: Directory, tenant: str, arguments: tuple[str, ...], code: str
) -> None:
    error = refusal("o365", "domains", *arguments, "--tenant", tenant)
    assert isinstance(error, Misuse)
    assert error.code == code
    assert _domains(tenant)["allowed_domains"] == []


def test_an_unknown_tenant_is_refused(directory: Directory) -> None:
    assert isinstance(refusal("o365", "accept-dpa", "--tenant", "nobody-here"), Misuse)
