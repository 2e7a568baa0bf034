"""The stage attacks are made on, over the suite's own PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gtmc_pipelines_tests.attack.stage import Stage


@pytest.fixture(scope="module")
def stage(postgres_url: str, services_home: Path) -> Iterator[Stage]:
    """A stage that starts no server of its own."""
    with Stage(services_home / "attack", postgres_url) as lent:
        yield lent
