"""All five connectors of one tenant on servers of their own, and whatever is said while commands are given.

PostgreSQL lends a database, Temporal and the sandbox are started for it: what is written there is this scene's.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import threading
import time
import traceback
import urllib.request
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from sqlalchemy import URL, make_url
from typer.testing import CliRunner

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.settings import Settings, child_environment, variable_of
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.stack.temporal import EmbeddedTemporal
from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.logins import ensure_login
from gtmc_pipelines.storage.migrate import migrate
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.inputs import SyncOutcome
from gtmc_pipelines.workflows.namespace import prepare_namespace
from gtmc_pipelines_tests.acceptance.site import Site
from gtmc_pipelines_tests.acceptance.subjects import SUBJECTS
from gtmc_pipelines_tests.journeys.canaries import Place

TENANT, ORG = "canary-tenant", "acme"
LOGIN, PASSWORD = "canary_login", "canary-password-7c1e"
WEBHOOK_SECRET = "B0CANARY7c1eWebhook"
_GTMC = (sys.executable, "-m", "gtmc_pipelines.cli.main")
_SIZES = {
    **{name: size for subject in SUBJECTS for name, size in subject.sizes.items()},
    "contacts": 120,
    "meetings": 12,
    "signals": 60,
}


@dataclass
class Scene:
    """Where everything is, what was said so far, and the secrets met on the way by name."""

    home: Path
    sites: Mapping[ConnectorType, Site]
    database: Database
    urls: tuple[str, ...]
    monkeypatch: pytest.MonkeyPatch
    said: list[Place] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def set(self, **variables: str) -> None:
        """Set variables for this process, and for those it starts from now on."""
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)

    def gtmc(self, *arguments: str, succeeds: bool = True) -> str:
        """Run a command in this process; gives what it printed. Its exception, if any, is noted with its trace."""
        done = CliRunner().invoke(app, list(arguments))
        self.said.append((f"what `gtmc {' '.join(arguments[:2])}` printed", done.output.encode()))
        if done.exc_info is not None and done.exception is not None:
            self.overheard(f"the exception of `gtmc {' '.join(arguments[:2])}`", done.exception)
        assert (done.exit_code == 0) is succeeds, (arguments, done.output, done.exception)
        return done.output

    def overheard(self, where: str, error: BaseException) -> None:
        """Note an exception as a crash report would show it: trace, causes, arguments."""
        text = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)) + repr(error.args)
        self.said.append((where, text.encode()))

    def log_in(self, kind: ConnectorType) -> None:
        """Connect in the browser: a thread plays it, and the code that comes back is a secret like any other."""

        def browse(url: str) -> bool:
            threading.Thread(target=self._follow, args=(url, kind), name="browser").start()
            return True

        self.monkeypatch.setattr(webbrowser, "open", browse)
        self.gtmc("connectors", "connect", *here(kind), "--login-hint", ORG)

    def _follow(self, url: str, kind: ConnectorType) -> None:
        codes = self.secrets

        class Redirects(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
                for given in parse_qs(urlsplit(newurl).query).get("code", []):
                    codes[f"{kind} code"] = given
                return super().redirect_request(req, fp, code, msg, headers, newurl)

        trusting = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.sites[kind].ca_file))
        urllib.request.build_opener(urllib.request.ProxyHandler({}), trusting, Redirects).open(url, timeout=20).close()

    def note_secrets(self, when: str, *keys: str) -> None:
        """Note what is sealed now, opened with these keys."""
        ring = KeyRing.from_hex(keys[0], keys[1:])
        for kind in ConnectorType:
            row = require_connector(self.database, TENANT, kind.value)
            stored = StoredCredentials(self.database, ring, TENANT, row.id).read()
            hidden = {name: secret.reveal() for name, secret in stored.items() if name not in _PLAIN}
            self.secrets |= {f"{when} {kind} {name}": value for name, value in hidden.items()}

    def syncs(self, *options: str) -> dict[ConnectorType, SyncOutcome]:
        """A sync of each connector, all at once."""
        started = {
            kind: json.loads(self.gtmc("sync", *here(kind), "--no-wait", "--json", *options))["workflow_id"]
            for kind in ConnectorType
        }
        with SyncClient.open(Settings()) as client:
            return {kind: client.outcome(name) for kind, name in started.items()}

    def breaks(self, kind: ConnectorType, wish: Mapping[str, Any]) -> None:
        """Switch a fault on, for whoever asks: at a login page nobody is known yet."""
        self.sites[kind].ask("POST", "knobs", wish)

    @contextmanager
    def worker(self) -> Iterator[Path]:
        """A worker of its own process with the environment of this moment; gives its log."""
        said, log = self.home / "worker.out", self.home / "worker.log"
        child = ChildProcess.spawn(
            ChildSpec("worker", [*_GTMC, "worker"], log, child_environment({}), output_file=said)
        )
        try:
            child.wait_until(lambda: "polls" in said.read_text(), within_seconds=60)
            yield log
        finally:
            child.stop()


_PLAIN = ("instance_url", "directory_id")  # sealed too, but no secrets: both are shown as options


def here(kind: ConnectorType) -> tuple[str, ...]:
    """The options that name the tenant's connector."""
    return ("--tenant", TENANT, "--connector", kind.value)


@contextmanager
def opened(folder: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """The scene with its servers. The environment knows all but the encryption key.

    Below `folder`, `home` is ours and `vendors` the sandbox's, which keeps its own secrets.
    """
    for name in map(variable_of, Settings.model_fields):
        monkeypatch.delenv(name, raising=False)
    home = folder / "home"
    temporal = EmbeddedTemporal(home / "temporal", port=free_port(), ui_port=free_port())
    sandbox_says = folder / "vendors" / "announcement.json"
    for made in (home, sandbox_says.parent):
        made.mkdir()
    command = [*_GTMC, "sandbox", "--json", "--tenants", ORG, "--state-dir", str(sandbox_says.parent)]
    callback = f"http://localhost:{free_port()}/callback"
    command += ["--redirect-uri", callback]
    command += [part for name, size in _SIZES.items() for part in ("--size", f"{name}={size}")]
    with ExitStack() as stack:
        sandbox = ChildProcess.spawn(
            ChildSpec(
                "the sandbox",
                command,
                sandbox_says.with_suffix(".log"),
                child_environment({}),
                output_file=sandbox_says,
            )
        )
        stack.callback(sandbox.stop)
        stack.callback(temporal.stop)
        server = temporal.spawn()
        urls = _databases(postgres_url)
        server.wait_until(temporal.is_ready, within_seconds=60)
        prepare_namespace(temporal.address, "default")
        sandbox.wait_until(lambda: sandbox_says.read_text().endswith("}\n"), within_seconds=60)
        announced = json.loads(sandbox_says.read_text())
        sites = {subject.type: Site(subject.type.value, announced, ORG) for subject in SUBJECTS}
        database = open_database(urls[0])
        stack.callback(database.close)
        scene = Scene(home, sites, database, urls, monkeypatch)
        scene.set(**_environment(scene, temporal), SALESFORCE_CALLBACK_URL=callback, O365_REDIRECT_URI=callback)
        yield scene


def _environment(scene: Scene, temporal: EmbeddedTemporal) -> dict[str, str]:
    ours, dagsters = map(_as_login, scene.urls)
    sites = scene.sites.values()
    return {
        "GTMC_HOME": str(scene.home),
        "GTMC_DATABASE_URL": ours.render_as_string(hide_password=False),
        "DAGSTER_PG_URL": dagsters.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False),
        "TEMPORAL_ADDRESS": temporal.address,
        "GTMC_HEARTBEAT_SECONDS": "4",
        "GTMC_LOG_LEVEL": "DEBUG",
        "GTMC_DEVELOPMENT": "1",
        "GTMC_SANDBOX_HOSTS": ",".join(host for site in sites for host in site.hosts),
        "GTMC_CA_FILE": str(next(iter(sites)).ca_file),
        **{
            name: str(value)
            for subject in SUBJECTS
            for name, value in subject.environment(scene.sites[subject.type]).items()
        },
    }


def _databases(postgres_url: str) -> tuple[str, ...]:
    """Two new databases of the server, ours and Dagster's, and a login by password as an installation has it."""
    unique = f"{os.getpid()}_{time.monotonic_ns()}"
    made = [make_url(postgres_url).set(database=f"canary_{kind}_{unique}") for kind in ("ours", "dagsters")]
    urls = tuple(one.render_as_string(hide_password=False) for one in made)
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {made[0].database}".encode())
        migrate(urls[0])
        ensure_login(urls[0], _as_login(urls[0]).render_as_string(hide_password=False))
        connection.execute(f"CREATE DATABASE {made[1].database} OWNER {LOGIN}".encode())
    return urls


def _as_login(url: str) -> URL:
    return make_url(url).set(username=LOGIN, password=PASSWORD, query={})
