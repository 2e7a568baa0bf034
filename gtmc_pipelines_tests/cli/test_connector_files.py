"""`gtmc connectors export|apply`: a plan first, keys proven, idempotent, all faults at once, no secret anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.testing import CliRunner, Result

from gtmc_pipelines.cli.declared import applying
from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.errors import GtmcError, Misuse
from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.running import running
from gtmc_pipelines.storage.audit_entries import list_entries
from gtmc_pipelines.storage.connectors import add_connector, list_connectors
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import get_config, set_domains
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines.vault.keyring import generate_key_hex

pytestmark = pytest.mark.services

runner = CliRunner()

FILE = """\
version: 1
tenants:
  {tenant}:
    connectors:
      salesforce:
        name: The org
        options: {{bulk_threshold: 10}}
        schedule: {{cron: "30 6 * * mon-fri", timezone: Europe/Berlin}}
        mappings:
          account:
            - {{sourceField: Name, targetField: name, transform: trim, required: true}}
            - {{sourceField: Website, targetField: domain, transform: lowercase}}
      customerio:
        credentials:
          api_key: {{env: GTMC_SECRET_ACME}}
      o365:
        domains: {{allowed: [partner.com, Example.org], own: acme.com}}
"""


@pytest.fixture(scope="module")
def vendor() -> Iterator[dict[str, Any]]:
    with running(SandboxOptions(vendors=("customerio",))) as announcement:
        yield announcement["vendors"]["customerio"]


@pytest.fixture
def file(
    vendor: dict[str, Any],
    database: Database,
    tenant: str,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A file for three connectors, its variable set, and settings under which the vendor is found."""
    base = vendor["http"]
    for name, value in {
        "GTMC_HOME": str(tmp_path / "home"),
        "GTMC_DATABASE_URL": postgres_url,
        "CONNECTOR_ENCRYPTION_KEY": generate_key_hex(),
        "CUSTOMERIO_API_URL": f"{base}/v1",
        "CUSTOMERIO_EU_API_URL": f"{base}/eu/v1",
        "CUSTOMERIO_TRACK_URL": f"{base}/api/v1",
        "GTMC_SANDBOX_HOSTS": urlsplit(base).netloc,
        "GTMC_SECRET_ACME": vendor["credentials"]["orgs"]["acme"]["api_key"],
    }.items():
        monkeypatch.setenv(name, value)
    found = tmp_path / "connectors.yaml"
    found.write_text(FILE.format(tenant=tenant))
    return found


def apply(file: Path, *more: str, answer: str | None = None) -> Result:
    return runner.invoke(app, ["connectors", "apply", str(file), *more], input=answer)


def plan(file: Path) -> dict[str, str]:
    shown = json.loads(apply(file, "--dry-run", "--json").stdout)
    return {step["connector"]: step["action"] for step in shown}


def fault(result: Result) -> str:
    assert isinstance(result.exception, GtmcError), result.exception
    return result.exception.sentence


def test_a_file_is_applied_after_its_plan_and_then_there_is_nothing_to_do(
    file: Path, database: Database, tenant: str, vendor: dict[str, Any]
) -> None:
    assert plan(file) == {"salesforce": "create", "customerio": "create", "o365": "create"}
    assert list_connectors(database, tenant) == []
    result = apply(file, answer="y\n")
    assert result.exception is None, result.exception
    assert result.stdout.index("plan") < result.stdout.index("Apply to 3") < result.stdout.index("as the file says")
    assert "gtmc connectors connect" in result.stdout
    rows = {row.type.value: row for row in list_connectors(database, tenant)}
    assert (rows["customerio"].status, rows["customerio"].options["region"]) == ("connected", "us")
    salesforce = rows["salesforce"]
    assert (salesforce.name, salesforce.options, salesforce.schedule_cron, salesforce.schedule_timezone) == (
        *("The org", {"bulk_threshold": 10}),
        *("30 6 * * mon-fri", "Europe/Berlin"),
    )
    with database.tenant(tenant) as handle:
        assert get_config(handle, tenant).allowed_domains == ("example.org", "partner.com")
    versions = {name: row.version for name, row in rows.items()}
    again = apply(file, "--yes")
    assert "Nothing to do" in again.stdout
    assert set(plan(file).values()) == {"unchanged"}
    assert {row.type.value: row.version for row in list_connectors(database, tenant)} == versions


def test_a_legacy_set_is_exported_as_it_maps_and_only_its_own_mapping_is_applied_over_it(
    file: Path, database: Database, tenant: str
) -> None:
    row = add_connector(database, tenant, "salesforce")
    entry = {"sourceField": "Name", "targetField": "name", "transform": "trim"}
    for document in ({"Account": [entry]}, {"account": ["words"]}):
        with database.tenant(tenant) as handle:
            values = {"id": row.id, "document": json.dumps(document)}
            run(handle, "UPDATE connectors SET field_mappings = %(document)s::jsonb WHERE id = %(id)s", values)
        written = runner.invoke(app, ["connectors", "export", "--tenant", tenant])
        if written.exception is None:
            shown = yaml.safe_load(written.stdout)["tenants"][tenant]["connectors"]["salesforce"]
            assert shown["mappings"] == {"account": [entry]}
            kept = apply(file, "--yes")
            assert "gtmc mappings import-legacy" in fault(kept)
            file.write_text(written.stdout)
            assert plan(file) == {"salesforce": "unchanged"}
        else:
            assert "gtmc mappings import-legacy" in str(written.exception)
    assert isinstance(written.exception, GtmcError)
    assert written.exception.code == "bad_legacy_mapping"


def test_what_is_exported_applies_without_a_change_and_holds_no_secret(
    file: Path, database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(file, "--yes")
    exported = runner.invoke(app, ["connectors", "export", "--tenant", tenant]).stdout
    assert "gtmc2." not in exported
    file.write_text(exported)
    assert set(plan(file).values()) == {"unchanged"}  # its variables aren't set: what is stored stays
    written = yaml.safe_load(exported)["tenants"][tenant]["connectors"]
    assert [entry["targetField"] for entry in written["salesforce"]["mappings"]["account"]] == ["name", "domain"]
    assert set(written["customerio"]["credentials"]["api_key"]) == {"env"}
    key = next(iter(written["customerio"]["credentials"]["api_key"].values()))
    monkeypatch.setenv(key, "another-key")
    assert plan(file)["customerio"] == "update"


def test_the_tenants_own_domain_is_refused_although_only_the_database_knows_it(
    file: Path, database: Database, tenant: str
) -> None:
    set_domains(database, tenant, [], "partner.com")
    file.write_text(file.read_text().replace(", own: acme.com", ""))
    said = fault(apply(file, "--yes"))
    assert "line 16" in said
    assert "the tenant's own domain partner.com" in said
    assert list_connectors(database, tenant) == []


def test_an_answer_of_no_changes_nothing(file: Path, database: Database, tenant: str) -> None:
    assert apply(file, answer="n\n").exit_code == 1
    assert list_connectors(database, tenant) == []
    assert isinstance(apply(file, "--json").exception, Misuse)


def test_a_key_that_the_vendor_refuses_leaves_everything_as_it_was(
    file: Path, database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GTMC_SECRET_ACME", "canary-wrong-key")
    result = apply(file, "--yes")
    assert "line 13" in fault(result)
    assert "http://127.0.0.1" in fault(result)
    assert "canary-wrong-key" not in result.output + str(result.exception)
    assert list_connectors(database, tenant) == []


def test_an_unset_variable_is_a_fault_where_a_key_is_needed(
    file: Path, database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GTMC_SECRET_ACME")
    assert "line 15, column 26: The variable GTMC_SECRET_ACME is not set." in fault(apply(file, "--yes"))
    assert list_connectors(database, tenant) == []


def test_a_key_may_come_from_a_file_beside_it(
    file: Path, vendor: dict[str, Any], database: Database, tenant: str
) -> None:
    (file.parent / "acme.key").write_text(vendor["credentials"]["orgs"]["acme"]["eu_api_key"] + "\n")
    file.write_text(file.read_text().replace("{env: GTMC_SECRET_ACME}", "{file: acme.key}"))
    apply(file, "--yes")
    rows = {row.type.value: row for row in list_connectors(database, tenant)}
    assert rows["customerio"].options["region"] == "eu"


def test_the_plan_names_every_reference_and_address_and_a_new_host_is_asked_about_by_itself(
    file: Path, vendor: dict[str, Any], database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = urlsplit(vendor["http"]).netloc
    file.write_text(
        file.read_text().replace("customerio:", f"customerio:\n        options: {{base_url: {vendor['http']}/v1}}")
    )
    for name in ("CUSTOMERIO_API_URL", "CUSTOMERIO_EU_API_URL", "CUSTOMERIO_TRACK_URL"):
        monkeypatch.delenv(name)
    planned = apply(file, "--dry-run").stdout
    assert f"api key: variable GTMC_SECRET_ACME → {vendor['http']}/v1 (new)" in planned
    assert vendor["credentials"]["orgs"]["acme"]["api_key"] not in planned
    assert f"--confirm-address {host}" in str(apply(file, "--yes").exception)
    assert f"--confirm-address {host}" in str(apply(file, "--yes", "--confirm-address", "127.0.0.1").exception)
    assert apply(file, answer="y\nn\n").exit_code == 1
    assert list_connectors(database, tenant) == []
    assert apply(file, "--yes", "--confirm-address", host).exception is None
    assert set(plan(file).values()) == {"unchanged"}


def test_rebind_is_how_stored_credentials_move(
    file: Path, vendor: dict[str, Any], database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(file, "--yes")
    here, host = ("--tenant", tenant, "--connector", "customerio"), urlsplit(vendor["http"]).netloc
    verified = runner.invoke(app, ["connectors", "verify", *here])
    assert verified.exception is None, verified.exception
    monkeypatch.setenv("CUSTOMERIO_API_URL", f"{vendor['http']}/other/v1")
    assert code_of("verify", *here) == "address_changed"
    assert code_of("rebind", *here, "--json") == "address_not_confirmed"
    answered = runner.invoke(app, ["connectors", "rebind", *here], input="n\n")
    assert answered.exit_code == 1
    assert f"{vendor['http']}/v1" in answered.stdout
    assert f"{vendor['http']}/other/v1" in answered.stdout
    assert code_of("verify", *here) == "address_changed"
    done = runner.invoke(app, ["connectors", "rebind", *here, "--confirm-address", host])
    assert done.exception is None, done.exception
    assert code_of("verify", *here) != "address_changed"
    with database.tenant(tenant) as handle:
        (entry,) = (one for one in list_entries(handle, tenant, 20) if one.action == "connector.rebind")
    assert f"{vendor['http']}/other/v1" in entry.changes["after"]["addresses"]
    unset = runner.invoke(app, ["connectors", "rebind", "--tenant", tenant, "--connector", "salesforce"]).exception
    assert isinstance(unset, Misuse)
    assert unset.code == "not_connected"


def code_of(*command: str) -> str:
    error = runner.invoke(app, ["connectors", *command]).exception
    assert isinstance(error, GtmcError), error
    return error.code


TEN = """\
version: 2
tenants:
  nobody-here: {{}}
  {tenant}:
    connectors:
      salesforc: {{}}
      salesforce:
        nam: x
        options: {{bulk_threshold: many}}
        schedule: {{cron: "* * * * *"}}
        credentials: {{}}
      customerio:
        credentials: {{api_key: canary-inline-secret}}
        mappings:
          person:
            - {{sourceField: email, targetField: emial}}
      fathom:
        credentials: {{api_key: {{env: CONNECTOR_ENCRYPTION_KEY}}}}
        domains: {{allowed: []}}
"""


def test_ten_faults_are_listed_with_their_lines_and_nothing_is_applied(
    file: Path, database: Database, tenant: str
) -> None:
    file.write_text(TEN.format(tenant=tenant))
    result = apply(file, "--yes")
    said = fault(result)
    lines = [int(line.split()[1].rstrip(",")) for line in said.splitlines()[1:]]
    assert lines == [1, 3, 6, 8, 9, 10, 11, 13, 16, 18, 19]
    assert "11 faults" in said
    assert "did you mean salesforce" in said
    assert "line 16, column 49" in said
    assert "canary-inline-secret" not in result.output + said
    assert list_connectors(database, tenant) == []


@pytest.mark.parametrize("text", ["", "a: [", "\tx", "- 1", "version: 1", "a: *b", "[" * 5000, "!!python/object:x {}"])
def test_a_file_that_is_no_such_file_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    assert "line 1" in fault(apply(file, "--yes"))


def test_an_apply_that_is_interrupted_is_run_again(
    file: Path, database: Database, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(applying, "connect_by_keys", _interrupted)
        assert isinstance(apply(file, "--yes").exception, KeyboardInterrupt | SystemExit)
    assert plan(file) == {"salesforce": "unchanged", "customerio": "update", "o365": "create"}
    assert apply(file, "--yes").exception is None
    assert set(plan(file).values()) == {"unchanged"}


def _interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt
