"""Definitions are loaded again at the press of a button, and a code server that dies is noticed and comes back."""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.stack.dagster_services import ask_health, load_error
from gtmc_pipelines.stack.embedded import Stack, StackOptions
from gtmc_pipelines_tests.stack.conftest import eventually

pytestmark = pytest.mark.services
ONE_ASSET = "import dagster as dg\n\n@dg.asset\ndef {name}() -> int:\n    return 1\n\ndefs = dg.Definitions([{name}])\n"
RELOAD = """mutation { reloadRepositoryLocation(repositoryLocationName: "gtmc_pipelines") {
  __typename ... on WorkspaceLocationEntry { locationOrLoadError { __typename } } } }"""
ASSETS = "{ assetNodes { assetKey { path } } }"


@dataclass
class Site:
    """A stack with Dagster whose definitions are in `module`."""

    stack: Stack
    module: Path

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

    def reload(self) -> str:
        """Press *Reload definitions*; gives what the code location is afterwards."""
        return str(self.ask(RELOAD)["reloadRepositoryLocation"]["locationOrLoadError"]["__typename"])

    def is_loaded(self) -> bool:
        """Whether definitions can be loaded now: for a moment the UI shows those of a code server that is gone."""
        return self.reload() == "RepositoryLocation"

    def processes(self, *words: str) -> list[psutil.Process]:
        """Our processes whose command line has all of these words."""
        found = []
        for one in psutil.Process().children(recursive=True):
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
        options = StackOptions(sandbox=False, worker=False, definitions=module.stem)
        before = set(psutil.Process().children(recursive=True))
        with Stack(load_settings(), options) as stack:
            stack.start()
            yield Site(stack, module)
        assert set(psutil.Process().children(recursive=True)) == before
    shutil.rmtree(home)


def test_reload_definitions_shows_changed_code_and_leaves_one_process_that_holds_it(site: Site) -> None:
    eventually(site.is_loaded)
    site.define("changed")
    assert site.reload() == "RepositoryLocation"
    assert site.assets() == ["changed"]
    assert site.holder().is_running()
    assert site.stack.supervisor.check() == []


def test_reloading_broken_code_says_what_is_wrong_and_correcting_it_helps(site: Site) -> None:
    eventually(site.is_loaded)
    site.module.write_text("import nothing_of_the_kind\n")
    assert site.reload() == "PythonError"
    assert "No module named 'nothing_of_the_kind'" in str(load_error(ask_health(site.port)))
    site.look_for_children()
    assert site.stack.supervisor.check() == [], "starting it again would not help"
    site.define("corrected")
    assert site.reload() == "RepositoryLocation"
    assert site.assets() == ["corrected"]


def test_a_killed_process_of_definitions_is_noticed_and_replaced(site: Site) -> None:
    eventually(site.is_loaded)
    (server,) = site.processes("code-server", "start")
    holder = site.holder()
    site.stack.supervisor.check()
    holder.kill()
    assert "A process of Dagster code server ended" in site.notices()[0]
    assert not server.is_running()
    eventually(site.is_loaded)
    assert site.stack.supervisor.check() == []


def test_a_killed_code_server_is_noticed_and_replaced_and_what_it_left_ends_with_the_stack(site: Site) -> None:
    eventually(site.is_loaded)
    (server,) = site.processes("code-server", "start")
    server.kill()
    assert "Dagster code server ended unexpectedly (by signal SIGKILL)" in site.notices()[0]
    eventually(site.is_loaded)


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
