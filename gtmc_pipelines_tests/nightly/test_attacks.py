"""Every kind of attack in full, with dice nobody has thrown before."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from gtmc_pipelines_tests.attack.kinds import KINDS
from gtmc_pipelines_tests.attack.stage import Stage
from gtmc_pipelines_tests.attack.tally import tried

pytestmark = [pytest.mark.services, pytest.mark.nightly]


@pytest.fixture(scope="module")
def stage(postgres_url: str, services_home: Path) -> Iterator[Stage]:
    """A stage over the suite's own PostgreSQL."""
    with Stage(services_home / "attacks", postgres_url) as lent:
        yield lent


@pytest.mark.parametrize("name", KINDS)
def test_no_attack_at_all_comes_through(name: str, stage: Stage) -> None:
    kind, seed = KINDS[name], secrets.randbelow(10**9)
    tally = tried(kind, stage, seed, range(kind.attempts))
    assert tally.through == [], tally.told(seed)
