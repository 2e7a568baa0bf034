"""Fixtures of the connectors' tests."""

from collections.abc import Iterator
from typing import Any

import pytest

from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.running import running
from gtmc_pipelines_tests.connectors import customerio_scene
from gtmc_pipelines_tests.connectors.fathom_scene import Account
from gtmc_pipelines_tests.connectors.o365_scene import Directory
from gtmc_pipelines_tests.connectors.salesforce_scene import Org
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor


@pytest.fixture
def vendor() -> Iterator[ScriptedVendor]:
    """A vendor on loopback whose answers the test scripts."""
    running = ScriptedVendor()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def org(sandbox: dict[str, Any]) -> Org:
    """The org `acme` of the imitated Salesforce, as seeded, without faults."""
    found = Org.of(sandbox)
    found.ask("POST", "reset", {})
    return found


@pytest.fixture(scope="session")
def fathom_sandbox() -> Iterator[dict[str, Any]]:
    """The imitated Fathom alone, in a thread."""
    with running(SandboxOptions(vendors=("fathom",))) as announcement:
        yield announcement


@pytest.fixture
def fathom(fathom_sandbox: dict[str, Any]) -> Account:
    """The account `acme` of the imitated Fathom over https, as seeded, without faults."""
    found = Account.of(fathom_sandbox)
    found.ask("POST", "reset", {})
    return found


@pytest.fixture(scope="session")
def customerio_sandbox() -> Iterator[dict[str, Any]]:
    """An imitated Customer.io with little data and a generous bucket."""
    with running(SandboxOptions(vendors=("customerio",), sizes=customerio_scene.SIZES)) as announcement:
        yield announcement


@pytest.fixture
def workspace(customerio_sandbox: dict[str, Any]) -> Iterator[customerio_scene.Workspace]:
    """The workspace `acme`, as seeded, without faults."""
    found = customerio_scene.Workspace.of(customerio_sandbox)
    found.ask("POST", "reset", {})
    yield found
    found.close()


@pytest.fixture
def directory(sandbox: dict[str, Any]) -> Directory:
    """The directory of `acme` at the imitated Microsoft 365, as seeded, without faults."""
    found = Directory(sandbox["vendors"]["o365"], sandbox["ca_file"])
    found.ask("POST", "reset", {})
    return found
