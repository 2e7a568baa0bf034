"""Stored credentials go nowhere new, whoever names another address: a changed row, a file, run config."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.connectors import bound
from gtmc_pipelines.connectors.destinations import Destinations
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.connectors.options import https_url
from gtmc_pipelines.connectors.registry import addresses_of, login_of, options_of
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.defs.resources import vendor_resource
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import GtmcError, Misuse
from gtmc_pipelines.settings import Settings, variable_of
from gtmc_pipelines.storage.connectors import ConnectorRow, require_connector
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines.workflows import authorization
from gtmc_pipelines.workflows.activities.sessions import open_session
from gtmc_pipelines.workflows.composition import compose
from gtmc_pipelines.workflows.rebinding import plan_rebinding, rebind
from gtmc_pipelines.workflows.source_fields import source_fields
from gtmc_pipelines_tests.acceptance.cases import each_subject
from gtmc_pipelines_tests.acceptance.conftest import MakeStage
from gtmc_pipelines_tests.acceptance.site import Site
from gtmc_pipelines_tests.acceptance.stage import Stage

pytestmark = [pytest.mark.services, each_subject]

UNDECLARED = {
    ConnectorType.SALESFORCE: ("instance_url",),
    ConnectorType.CUSTOMERIO: ("us_url", "eu_url", "track_url"),
}
"""What only somebody with SQL can put into a row."""

WRITE = "UPDATE connectors SET config = jsonb_set(config, '{options}', %(options)s::jsonb) WHERE id = %(id)s"
FORGET = "UPDATE connectors SET config = config #- '{secrets,addresses}' WHERE id = %(id)s"


class Witness:
    """Somebody else's server: whatever reaches it is noted."""

    def __init__(self, port: int, asked: list[str]) -> None:
        self.url, self.asked = f"http://127.0.0.1:{port}", asked


@pytest.fixture
def witness() -> Iterator[Witness]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(f"{self.command} {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Not to stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="witness")
        thread.start()
        try:
            yield Witness(server.server_port, asked)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def bound_stage(make_stage: MakeStage, site: Site, witness: Witness) -> Stage:
    """A connected tenant of an installation that could reach the witness, with the note that connecting leaves."""
    stage = make_stage(GTMC_SANDBOX_HOSTS=",".join((*site.hosts, urlsplit(witness.url).netloc)))
    rebind(stage.settings, stage.database, plan_rebinding(stage.settings, stage.database, stage.row, {}), actor="anna")
    return stage


def names_of(stage: Stage) -> list[str]:
    """Every option of the vendor that names an address."""
    kind = stage.row.type
    declared = {option.name for option in options_of(kind) if option.parse is https_url}
    return sorted({*declared, *UNDECLARED.get(kind, ()), *addresses_of(kind).of(compose(stage.settings, stage.row))})


@contextmanager
def altered(stage: Stage, name: str, url: str) -> Iterator[ConnectorRow]:
    """The row while somebody has put another address into it."""
    before = require_connector(stage.database, stage.tenant, stage.row.id)
    write(stage, {**before.options, name: url})
    try:
        yield require_connector(stage.database, stage.tenant, stage.row.id)
    finally:
        write(stage, dict(before.options))


def write(stage: Stage, options: dict[str, Any]) -> None:
    with stage.database.tenant(stage.tenant) as handle:
        run(handle, WRITE, {"id": stage.row.id, "options": json.dumps(options)})


def uses(stage: Stage) -> list[Callable[[ConnectorRow], Any]]:
    """Whatever opens a session with what is stored."""
    entity = next(iter(stage.subject.stream(stage.subject.streams[0]).entities))
    return [
        lambda row: open_session(stage.services, row),
        lambda row: authorization.verify(stage.settings, stage.database, row, actor="anna"),
        lambda row: source_fields(stage.settings, stage.database, row, entity, actor="anna"),
        lambda row: vendor_resource(row.type).session(stage.tenant).__enter__(),
    ]


def test_an_address_in_the_row_takes_nothing_there_with_a_note_or_without(
    bound_stage: Stage, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = bound_stage
    monkeypatch.setattr(GtmcResource, "settings", lambda self: stage.settings)
    open_session(stage.services, stage.row).close()
    for is_noted in (True, False):
        if not is_noted:
            with stage.database.tenant(stage.tenant) as handle:
                run(handle, FORGET, {"id": stage.row.id})
        for name in names_of(stage):
            with altered(stage, name, witness.url) as row:
                for use in uses(stage):
                    with pytest.raises(GtmcError) as refused:
                        use(row)
                    assert refused.value.code == "address_changed", (name, refused.value)
        open_session(stage.services, stage.row).close()
    with altered(stage, names_of(stage)[0], witness.url) as row:
        authorization.disconnect(stage.settings, stage.database, row, actor="anna")
    assert witness.asked == []


def test_without_the_comparison_the_witness_would_have_heard_it(
    bound_stage: Stage, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bound, "compare", lambda *_: None)
    for name in names_of(bound_stage):
        with altered(bound_stage, name, witness.url) as row, suppress(GtmcError):
            authorization.verify(bound_stage.settings, bound_stage.database, row, actor="anna")
        if witness.asked:
            break
    heard = len(witness.asked)
    with monkeypatch.context() as patched, altered(bound_stage, name, witness.url) as row:
        patched.setattr(Destinations, "allow", lambda self, urls: None)  # the session itself knows no host then
        with pytest.raises(GtmcError):
            authorization.verify(bound_stage.settings, bound_stage.database, row, actor="anna")
        assert len(witness.asked) == heard
    with altered(bound_stage, name, witness.url) as row:  # a token that still works takes nothing to the login
        authorization.disconnect(bound_stage.settings, bound_stage.database, row, actor="anna")
    assert witness.asked


def test_a_file_moves_stored_credentials_nowhere_and_sends_referred_ones_only_when_confirmed(
    bound_stage: Stage, witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, kind = bound_stage, bound_stage.row.type
    set_environment(monkeypatch, stage.settings)
    monkeypatch.setenv("GTMC_SECRET_ANY", "of-somebody-else")
    file, login = tmp_path / "theirs.yaml", login_of(kind)
    for name in {option.name for option in options_of(kind) if option.parse is https_url}:
        body: dict[str, Any] = {"options": {name: witness.url}}
        write_file(file, stage, body)
        moved = apply(file)
        assert moved.code == "bad_connector_file"
        assert "gtmc connectors rebind" in moved.sentence
        if isinstance(login, KeyLogin):
            write_file(file, stage, {**body, "credentials": {key: {"env": "GTMC_SECRET_ANY"} for key in login.secrets}})
            unconfirmed = apply(file)
            assert unconfirmed.code == "address_not_confirmed"
            assert urlsplit(witness.url).netloc in unconfirmed.sentence
    assert witness.asked == []
    assert require_connector(stage.database, stage.tenant, stage.row.id).options == stage.row.options


def write_file(file: Path, stage: Stage, body: dict[str, Any]) -> None:
    document = {"version": 1, "tenants": {stage.tenant: {"connectors": {stage.row.type.value: body}}}}
    file.write_text(json.dumps(document))


def apply(file: Path) -> GtmcError:
    error = CliRunner().invoke(app, ["connectors", "apply", str(file), "--yes"]).exception
    assert isinstance(error, GtmcError), error
    return error


def set_environment(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str | int | Path):
            monkeypatch.setenv(variable_of(name), str(text))


def test_run_config_names_no_address_for_stored_credentials(
    bound_stage: Stage, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GtmcResource, "settings", lambda self: bound_stage.settings)
    kind = type(vendor_resource(bound_stage.row.type))
    for name in kind.address_fields:
        value = "eu" if name == "region" else witness.url
        with pytest.raises(Misuse) as refused, kind(**{name: value}).session(bound_stage.tenant):
            pass
        assert refused.value.code == "address_without_credentials"
    forgetful = type("Forgetful", (kind,), {"options": lambda self: dict.fromkeys(names_of(bound_stage), witness.url)})
    with pytest.raises(GtmcError) as caught, forgetful().session(bound_stage.tenant):
        pass
    assert caught.value.code == "address_changed"
    assert witness.asked == []
