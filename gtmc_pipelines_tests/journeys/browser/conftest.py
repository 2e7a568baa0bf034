"""The stage of the browser's journeys: one stack with its sandbox, three connected tenants, one Chromium."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gtmc_pipelines.cli import demo_browser
from gtmc_pipelines.settings import Settings, load_settings
from gtmc_pipelines.stack.embedded import Stack
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines_tests.house.rules import ROOT
from gtmc_pipelines_tests.journeys.browser.chromium import Page, browser, installed

TENANTS = ("acme", "globex", "initech")
SCREENSHOTS = ROOT / "screenshots"

Shoot = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """A running stack: its settings, its database, where Dagster's UI is."""

    settings: Settings
    database: Database
    dagster: str

    def url(self, path: str) -> str:
        """An address of Dagster's UI."""
        return f"{self.dagster}{path}"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser of this machine. The continuous integration has one; elsewhere the journeys are left out."""
    found = installed()
    if found is None:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("No Chromium is installed: `apt-get install chromium`.")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def stage(chromium: str) -> Iterator[Stage]:
    """Everything `gtmc up` starts, in a folder of its own on free ports, with Salesforce connected three times."""
    home = Path(tempfile.mkdtemp(prefix="gtmc-journey-"))
    home.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GTMC_HOME", str(home))
        with Stack(load_settings()) as stack:
            stack.start()
            settings = load_settings()
            database = open_database(settings.required("database_url"))
            _connect_tenants(database, settings)
            yield Stage(settings, database, settings.required("dagster_url"))
            database.close()
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def page(chromium: str, stage: Stage) -> Iterator[Page]:
    """A browser window."""
    profile = Path(tempfile.mkdtemp(prefix="gtmc-chromium-"))
    with browser(chromium, profile) as opened:
        yield opened
    shutil.rmtree(profile, ignore_errors=True)  # a dying child of the browser may still write there


@pytest.fixture
def shoot(page: Page) -> Shoot:
    """Keeps what is on screen under a name, for people to look at."""
    return lambda name: page.screenshot(SCREENSHOTS / f"{name}.png")


def _connect_tenants(database: Database, settings: Settings) -> None:
    for tenant in TENANTS:
        add_tenant(database, tenant, tenant.title())
        add_connector(database, tenant, "salesforce")
    for tenant in TENANTS:  # one after the other: they share the registered callback
        demo_browser.connect(tenant, "salesforce", settings.ca_file)
