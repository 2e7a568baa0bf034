"""Fixtures of the connectors' tests."""

from collections.abc import Iterator

import pytest

from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor


@pytest.fixture
def vendor() -> Iterator[ScriptedVendor]:
    """A vendor on loopback whose answers the test scripts."""
    running = ScriptedVendor()
    try:
        yield running
    finally:
        running.close()
