"""What the daily comparison with a vendor found is told by its checks, with the numbers and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from gtmc_pipelines.defs.checks.vendor import matches_vendor, not_visible
from gtmc_pipelines.storage.comparisons import Comparison, keep
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.defs.check_scene import CheckScene

pytestmark = pytest.mark.services
CONTACTS = "raw/contacts"


@pytest.fixture
def scene(database: Database, tenant: str) -> CheckScene:
    return CheckScene.of(database, tenant)


def test_a_difference_with_the_vendor_is_told_with_its_numbers(scene: CheckScene) -> None:
    assert scene.found(matches_vendor, CONTACTS) == []
    keep(scene.database, scene.connector.id, compared(scene, lost=3, extra=2, not_visible=4), scene.now)
    verdict = scene.ask(matches_vendor, CONTACTS)
    assert verdict.numbers["difference"] >= 5, "those of other tenants are added"
    (finding,) = scene.found(matches_vendor, CONTACTS)
    assert "3 that the vendor has are not live here and 2 that are live here" in finding.seen
    assert "--full" in finding.remedy
    assert scene.found(matches_vendor, "raw/leads") == []
    (hidden,) = scene.found(not_visible, CONTACTS)
    assert hidden.seen.startswith("4 records")
    keep(scene.database, scene.connector.id, compared(scene), scene.now)
    assert scene.found(matches_vendor, CONTACTS) == scene.found(not_visible, CONTACTS) == []
    keep(scene.database, scene.connector.id, compared(scene, problem="query_timeout"), scene.now)
    assert "query_timeout" in scene.found(matches_vendor, CONTACTS)[0].seen


def compared(scene: CheckScene, **numbers: Any) -> Comparison:
    numbers = {"vendor": 10, "ours": 10, "lost": 0, "extra": 0} | numbers
    return Comparison(scene.tenant, "contacts", scene.now, "COUNT()", **numbers)
