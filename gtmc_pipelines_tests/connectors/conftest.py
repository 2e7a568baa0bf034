"""Fixtures of the connectors' tests."""

from collections.abc import Iterator
from typing import Any

import pytest

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
