"""The guides' command blocks: each line is taken by its command, and the path works as it is printed."""

from __future__ import annotations

import json
import re
import shlex
import ssl
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import gtmc_pipelines
from gtmc_pipelines.cli.main import app
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.stack.sandbox_part import SandboxPart, sandbox_environment
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.cli.command_lines import parse
from gtmc_pipelines_tests.workflows.conftest import KEY, running_worker

PACKAGE = Path(gtmc_pipelines.__file__).parent
GUIDE = PACKAGE / "cli" / "README.md"
MAPPINGS = PACKAGE / "mapping" / "README.md"
PAGES = [PACKAGE.parent / "README.md", *sorted(PACKAGE.rglob("README.md"))]
ANSWERS = {"gtmc connectors apply": "y\n", "gtmc connectors rebind": "y\n", "gtmc people erase": "northwind\n"}
"""What a person types where a command asks."""


def lines_of(page: Path) -> list[str]:
    """The `gtmc` lines of a page's blocks, without the marks of what may be left out."""
    blocks = re.findall(r"```\n(.*?)```|((?:^    .*\n)+)", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in "".join(block).splitlines()]
    return [re.sub(r"\[--[^]]*\]", "", line) for line in lines if line.startswith("gtmc ")]


def test_the_guides_have_blocks_of_commands() -> None:
    assert len(lines_of(GUIDE)) > 30
    assert len(lines_of(MAPPINGS)) > 5


@pytest.mark.parametrize(
    ("page", "line"), [(str(page.relative_to(PACKAGE.parent)), line) for page in PAGES for line in lines_of(page)]
)
def test_every_command_line_of_a_guide_is_taken_by_its_command(page: str, line: str) -> None:
    assert parse(line), page


@pytest.fixture
def at_the_desk(
    sandbox: dict[str, Any],
    database: Database,
    postgres_url: str,
    temporal_address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A folder where `gtmc up` runs, as far as the guide sees it: settings, a worker, the sandbox's keys."""
    home = tmp_path / ".gtmc"
    home.mkdir()
    (home / "sandbox.json").write_text(json.dumps(sandbox))
    SandboxPart(home).write_keys()
    for vendor in sandbox["vendors"].values():
        urllib.request.urlopen(urllib.request.Request(f"{vendor['http']}/_sandbox/reset", method="POST")).close()
    for name, value in {
        **sandbox_environment(sandbox),
        "GTMC_HOME": str(home),
        "GTMC_DATABASE_URL": postgres_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "GTMC_TASK_QUEUE": f"guides-{uuid.uuid4().hex[:12]}",
        "CONNECTOR_ENCRYPTION_KEY": KEY,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    trust = ssl.create_default_context(cafile=sandbox["ca_file"])
    visits: list[threading.Thread] = []

    def browse(url: str) -> bool:
        visits.append(threading.Thread(target=_log_in, args=(url, trust)))
        visits[-1].start()
        return True

    monkeypatch.setattr("webbrowser.open", browse)
    with running_worker(load_settings(), database):
        yield tmp_path
    for visit in visits:
        visit.join()


def _log_in(url: str, trust: ssl.SSLContext) -> None:
    """What a person does in the browser: take the account northwind where there is a choice, and allow."""
    with urllib.request.urlopen(url, timeout=60, context=trust) as page:
        text = page.read().decode()
    if "login_hint=northwind" in text:
        urllib.request.urlopen(f"{url}&login_hint=northwind", timeout=60, context=trust).close()


def _type(line: str) -> str:
    """Do a line as a shell would, with `> file`, `< file` and `$(cat file)`; its output, once it has ended well."""
    line = re.sub(r"\$\(cat (\S+)\)", lambda found: Path(found[1]).read_text().strip(), line)
    line, *redirected = re.split(r"\s([<>]) ?(\S+)$", line)
    sign, file = redirected[:2] if redirected else ("", "")
    typed = next((answer for command, answer in ANSWERS.items() if line.startswith(command)), "")
    given = Path(file).read_text() if sign == "<" else typed
    done = CliRunner().invoke(app, shlex.split(line, comments=True)[1:], input=given)
    assert done.exit_code == 0, f"{line}\n{done.output}{done.exception}"
    if sign == ">":
        Path(file).write_text(done.stdout)
    return done.output


@pytest.mark.services
def test_the_administrators_path_works_as_it_is_printed(at_the_desk: Path) -> None:
    lines = [line for line in lines_of(GUIDE) if not line.startswith("gtmc dead-letters show")]  # its number is made up
    said = {line: _type(line) for line in lines}
    connectors = json.loads(_type("gtmc connectors list --tenant northwind --json"))
    assert {row["type"] for row in connectors} == {"salesforce", "customerio", "delivrai", "o365", "fathom"}
    assert {row["status"] for row in connectors} == {"connected"}
    syncs = json.loads(_type("gtmc syncs list --tenant northwind --json"))
    assert {sync["connector"] for sync in syncs} == {row["type"] for row in connectors}
    assert all(sync["outcome"] == "completed" for sync in syncs)
    assert all(any(sync["created"] for sync in syncs if sync["connector"] == row["type"]) for row in connectors)
    assert "Nothing to do" in said["gtmc connectors apply connectors.yaml"]
    for line in lines_of(MAPPINGS):
        _type(line)
    assert "removed" in _type("gtmc tenants remove northwind --yes")


@pytest.mark.services
def test_the_readmes_salesforce_section_works_to_the_letter(at_the_desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (PACKAGE.parent / "README.md").read_text()
    section = text.split("## A real Salesforce org\n")[1].split("\n## ")[0]
    callback = re.findall(r"export SALESFORCE_CALLBACK_URL=(\S+)", section)
    assert callback
    assert f"`{callback[0]}`" in section.split("\n2. ")[0]  # registered as it is exported
    monkeypatch.setenv("SALESFORCE_CALLBACK_URL", callback[0])
    lines = [line.strip() for line in section.splitlines() if line.strip().startswith("gtmc ")]
    typed = [line for line in lines if not line.startswith("gtmc up")]  # what `at_the_desk` stands for
    assert len(typed) == 5
    for line in typed:
        _type(line)
    (sync,) = json.loads(_type("gtmc syncs list --tenant northwind --json"))
    assert sync["outcome"] == "completed"
    assert sync["created"]
    assert "removed" in _type("gtmc tenants remove northwind --yes")
