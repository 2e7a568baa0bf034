"""Dagster as `gtmc up` runs it: definitions loaded again, a code server that comes back, pages that are refused."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.stack.dagster_services import DagsterServices, ask_health, load_error
from gtmc_pipelines.stack.embedded import Stack, StackOptions
from gtmc_pipelines.stack.guard_probe import unguarded
from gtmc_pipelines.stack.ports import answers
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines_tests.house.rules import ROOT
from gtmc_pipelines_tests.stack.conftest import eventually

pytestmark = pytest.mark.services
ONE_ASSET = "import dagster as dg\n\n@dg.asset\ndef {name}() -> int:\n    return 1\n\ndefs = dg.Definitions([{name}])\n"
RELOAD = """mutation { reloadRepositoryLocation(repositoryLocationName: "gtmc_pipelines") {
  __typename ... on WorkspaceLocationEntry { locationOrLoadError { __typename } } } }"""
LOADED_AT = "{ workspaceOrError { ... on Workspace { locationEntries { updatedTimestamp } } } }"
CHANGES = "subscription { locationStateChangeEvents { event { message } } }"
ASKED = "/graphql?" + urlencode({"query": RELOAD})
JSON = {"Content-Type": "application/json"}
CALL = json.dumps({"query": RELOAD})
FOREIGN: dict[str, tuple[str, str, dict[str, str], str | None]] = {
    "a mutation by GET": ("GET", ASKED, {}, None),
    "a mutation by GET of our own page": ("GET", ASKED, {"Sec-Fetch-Site": "same-origin"}, None),
    "a mutation by HEAD": ("HEAD", ASKED, {}, None),
    "a mutation by a link": ("GET", ASKED, {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, None),
    "a mutation in an escaped address": ("GET", ASKED.replace("query", "qu%65ry", 1), {}, None),
    "a mutation in the address of a form": ("POST", ASKED, {"Content-Type": "text/plain"}, "x"),
    "a mutation in the address of JSON": ("POST", ASKED, JSON, CALL),
    "a form that calls itself JSON": ("POST", "/graphql", {"Content-Type": "text/plain; application/json"}, CALL),
    "a body without a type": ("POST", "/graphql", {}, CALL),
    "GraphQL as its own type": ("POST", "/graphql", {"Content-Type": "application/graphql"}, RELOAD),
    "an event reported by a form": ("POST", "/report_asset_materialization/first", {}, ""),
    "a foreign Origin": ("POST", "/graphql", {**JSON, "Origin": "http://evil.example"}, CALL),
    "another port's Origin": ("POST", "/graphql", {**JSON, "Origin": "http://127.0.0.1:8233"}, CALL),
    "no Origin's Origin": ("POST", "/graphql", {**JSON, "Origin": "null"}, CALL),
    "a foreign Host": ("POST", "/graphql", {**JSON, "Host": "evil.example"}, CALL),
    "a rebound page": (
        "POST",
        "/graphql",
        {**JSON, "Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"},
        CALL,
    ),
    "a rebound page that reads": ("GET", "/server_info", {"Host": "evil.example:{port}"}, None),
    "another site's image": (
        "GET",
        "/server_info",
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        None,
    ),
    "another site's frame": (
        *("GET", "/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, None),
    ),
    "a question whether another site may call": ("OPTIONS", "/graphql", {"Origin": "http://evil.example"}, None),
}
ASSETS = "{ assetNodes { assetKey { path } } }"


@dataclass
class Site:
    """A stack with Dagster whose definitions are in `module`; `others` ran before it."""

    stack: Stack
    module: Path
    others: set[psutil.Process]

    @property
    def port(self) -> int:
        """Of the UI."""
        return int(self.stack.addresses["Dagster UI"].rsplit(":", 1)[1])

    def define(self, name: str) -> None:
        """Make the definitions one asset of this name."""
        self.module.write_text(ONE_ASSET.format(name=name))

    def ask(self, query: str) -> Any:
        """What the webserver answers."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            body = json.dumps({"query": query})
            connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())["data"]

    def assets(self) -> list[str]:
        """Names of the assets the UI shows."""
        return [node["assetKey"]["path"][0] for node in self.ask(ASSETS)["assetNodes"]]

    def send(self, method: str, path: str, headers: dict[str, str], body: str | None = None) -> tuple[int, Any]:
        """Status and headers of an answer; a Host among `headers` is sent instead of the right one."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers

    def loaded_at(self) -> float:
        """When the code location was loaded."""
        return float(self.ask(LOADED_AT)["workspaceOrError"]["locationEntries"][0]["updatedTimestamp"])

    def subscribe(self, **options: Any) -> ClientConnection:
        """A websocket as the UI opens them."""
        protocols: Any = ["graphql-ws"]
        return connect(f"ws://127.0.0.1:{self.port}/graphql", subprotocols=protocols, proxy=None, **options)

    def reload(self) -> str:
        """Press *Reload definitions*; gives what the code location is afterwards."""
        return str(self.ask(RELOAD)["reloadRepositoryLocation"]["locationOrLoadError"]["__typename"])

    def is_loaded(self) -> bool:
        """Whether definitions can be loaded now: for a moment the UI shows those of a code server that is gone."""
        return self.reload() == "RepositoryLocation"

    def started(self) -> set[psutil.Process]:
        """What the stack has started, and what that has; not the suite's own services."""
        return set(psutil.Process().children(recursive=True)) - self.others

    def processes(self, *words: str) -> list[psutil.Process]:
        """Our processes whose command line has all of these words."""
        found = []
        for one in self.started():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if set(words) <= set(one.cmdline()):
                    found.append(one)
        return found

    def holder(self) -> psutil.Process:
        """The one process that holds the definitions; one that was replaced takes a moment to leave."""
        eventually(lambda: len(self.processes("api", "grpc")) == 1)
        return self.processes("api", "grpc")[0]

    def look_for_children(self) -> None:
        """Let the supervisor look at the next check, however short the last look is past."""
        self.stack.supervisor._children_at = float("-inf")

    def notices(self) -> list[str]:
        """What the supervisor says next."""
        heard: list[str] = []
        eventually(lambda: heard.extend(self.stack.supervisor.check()) or heard)
        return heard


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="gtmc-stack-"))
    home.chmod(0o755)
    module = home / "reloaded_definitions.py"
    module.write_text(ONE_ASSET.format(name="first"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GTMC_HOME", str(home))
        patch.setenv("PYTHONPATH", str(home))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        (home / "logs").mkdir(mode=0o755)
        (home / "logs" / "of-an-earlier-version.log").touch(mode=0o644)
        options = StackOptions(sandbox=False, definitions=module.stem)
        before = set(psutil.Process().children(recursive=True))
        with Stack(load_settings(), options) as stack:
            stack.start()
            yield Site(stack, module, before)
            port = int(stack.addresses["Dagster UI"].rsplit(":", 1)[1])
        assert set(psutil.Process().children(recursive=True)) == before
        assert not answers(port)
    shutil.rmtree(home)


def test_reload_definitions_shows_changed_code_and_leaves_one_process_that_holds_it(site: Site) -> None:
    eventually(site.is_loaded, within_seconds=60)
    site.define("changed")
    assert site.reload() == "RepositoryLocation"
    assert site.assets() == ["changed"]
    assert site.holder().is_running()
    assert site.stack.supervisor.check() == []


def test_reloading_broken_code_says_what_is_wrong_and_correcting_it_helps(site: Site) -> None:
    eventually(site.is_loaded, within_seconds=60)
    site.module.write_text("import nothing_of_the_kind\n")
    assert site.reload() == "PythonError"
    assert "No module named 'nothing_of_the_kind'" in str(load_error(ask_health(site.port)))
    site.look_for_children()
    assert site.stack.supervisor.check() == [], "starting it again would not help"
    site.define("corrected")
    assert site.reload() == "RepositoryLocation"
    assert site.assets() == ["corrected"]


def test_a_killed_process_of_definitions_is_noticed_and_replaced(site: Site) -> None:
    eventually(site.is_loaded, within_seconds=60)
    (server,) = site.processes("code-server", "start")
    holder = site.holder()
    site.stack.supervisor.check()
    holder.kill()
    assert "A process of Dagster code server ended" in site.notices()[0]
    assert not server.is_running()
    eventually(site.is_loaded, within_seconds=60)
    assert site.stack.supervisor.check() == []


def test_a_killed_code_server_is_noticed_and_replaced_and_what_it_left_ends_with_the_stack(site: Site) -> None:
    eventually(site.is_loaded, within_seconds=60)
    (server,) = site.processes("code-server", "start")
    server.kill()
    assert "Dagster code server ended unexpectedly (by signal SIGKILL)" in site.notices()[0]
    eventually(site.is_loaded, within_seconds=60)


@pytest.mark.parametrize("what", FOREIGN)
def test_what_a_foreign_page_can_send_is_refused_and_does_nothing(site: Site, what: str) -> None:
    method, path, headers, body = FOREIGN[what]
    before = site.loaded_at()
    told = {name: value.format(port=site.port) for name, value in headers.items()}
    status, answered = site.send(method, path, told, body)
    assert status == http.client.FORBIDDEN
    assert answered["X-Frame-Options"] == "DENY"
    assert site.loaded_at() == before


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8233", "https://127.0.0.1:{port}"])
def test_a_foreign_page_opens_no_websocket(site: Site, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, site.subscribe(origin=origin.format(port=site.port)):
        pass
    assert refused.value.response.status_code == http.client.FORBIDDEN


def test_subscriptions_of_our_own_pages_hear_what_happens_and_run_no_mutation(site: Site) -> None:
    eventually(site.is_loaded, within_seconds=60)
    with site.subscribe(origin=f"http://localhost:{site.port}") as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": {}}))
        socket.send(json.dumps({"type": "start", "id": "1", "payload": {"query": CHANGES}}))
        socket.send(json.dumps({"type": "start", "id": "2", "payload": {"query": RELOAD}}))
        heard = [json.loads(socket.recv(20)) for _ in range(2)]
        assert [message["type"] for message in heard] == ["connection_ack", "error"]
        assert site.reload() == "RepositoryLocation"
        event = json.loads(socket.recv(20))
        assert (event["type"], event["id"]) == ("data", "1")
        assert event["payload"]["data"]["locationStateChangeEvents"]["event"]["message"]


@pytest.mark.parametrize("path", ["/", "/runs", "/graphql", "/server_info", "/favicon.png", "/there/is/none"])
def test_no_page_can_be_framed_or_show_a_foreign_image(site: Site, path: str) -> None:
    _, headers = site.send("GET", path, {"Accept": "text/html"})
    policies = "; ".join(headers.get_all("Content-Security-Policy"))
    assert "frame-ancestors 'none'" in policies
    assert "img-src 'self' data: blob:" in policies
    assert ("nonce-" in policies) == (path not in ("/graphql", "/server_info", "/favicon.png")), "Dagster's own stays"
    assert (headers["Cross-Origin-Resource-Policy"], headers["Cross-Origin-Opener-Policy"]) == ("same-origin",) * 2


def test_the_address_is_printed_once_the_guard_has_refused_a_mutation(site: Site) -> None:
    assert unguarded(site.port) == []
    with _open_door() as port:
        assert len(unguarded(port)) == 4
        services = DagsterServices(site.module.parent)
        services.port = port
        with pytest.raises(Misuse, match="takes mutations by GET"):
            services.require_guard()


def test_the_code_server_listens_on_a_socket_of_ours_alone(site: Site) -> None:
    eventually(site.is_loaded, within_seconds=60)
    processes = [*site.processes("code-server", "start"), site.holder()]
    found = [connection for each in processes for connection in each.net_connections("tcp")]
    assert not [connection for connection in found if connection.status == psutil.CONN_LISTEN]
    (socket,) = (site.module.parent / "dagster").glob("*.sock")
    assert socket.stat().st_mode & 0o022 == 0


def test_no_process_was_given_the_superusers_password_or_its_place(site: Site) -> None:
    home = site.module.parent
    password = (home / "postgres.pass").read_text().rsplit(":", 1)[1].strip()
    server = int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    services = [each for each in site.started() if each.ppid() != server]
    told = [(home / name).read_text() for name in ("stack.json", "stack-secrets.json")]
    for each in services:
        with suppress(psutil.NoSuchProcess):
            told += [*each.environ().values(), *each.cmdline()]
    assert any("postgres-gtmc.pass" in text for text in told)
    assert not [text for text in told if password in text or "postgres.pass" in text or "postgres@" in text]


def test_everything_of_the_stack_is_closed_to_others(site: Site) -> None:
    home = site.module.parent
    made = [path for path in home.rglob("*") if path != site.module and "__pycache__" not in path.parts]
    assert (home / "logs" / "of-an-earlier-version.log") in made
    assert [path for path in made if not path.is_symlink() and path.lstat().st_mode & 0o077] == []
    assert home.stat().st_mode & 0o067 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="processes of one ordinary account aren't separated from each other")
def test_as_root_a_worker_with_all_it_has_does_not_become_superuser(site: Site) -> None:
    eventually(lambda: site.processes("worker"))
    (worker,) = site.processes("worker")
    home = site.module.parent
    spec = ChildSpec(
        name="the burglar",
        command=[sys.executable, "-m", "gtmc_pipelines_tests.stack.burglar"],
        log_file=home / "logs" / "burglar.log",
        output_file=home / "burglar.json",
        environment=worker.environ() | {"PYTHONPATH": str(ROOT)},
        gives_up_rights=True,
    )
    burglar = ChildProcess.spawn(spec)
    eventually(lambda: burglar.exit_status() is not None, within_seconds=60)
    assert burglar.exit_status() == 0, burglar.log_tail()
    report = json.loads((home / "burglar.json").read_text())
    assert report == {"logins": [["dagster", "dagster"], ["gtmc", "gtmc"]], "climbs": [], "break_outs": []}
    for each in site.processes("-m"):
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{each.pid}/status").read_text(), each.cmdline()


@contextmanager
def _open_door() -> Iterator[int]:
    """A webserver that says yes to everything."""

    class Yes(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Yes) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def test_definitions_that_can_not_be_loaded_end_the_start_with_the_reason(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_definitions.py").write_text("import nothing_of_the_kind\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("GTMC_HOME", str(home))
    options = StackOptions(sandbox=False, worker=False, definitions="broken_definitions")
    with pytest.raises(Misuse, match="No module named 'nothing_of_the_kind'") as caught:
        Stack(load_settings(), options).start()
    assert "broken_definitions" in caught.value.sentence
