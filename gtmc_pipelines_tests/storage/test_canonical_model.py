"""Property: whatever versions arrive in whatever order, the database equals a model that fits on one screen."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines_tests.storage.write_scene import EPOCH, Scene, at, batch_of, record

pytestmark = pytest.mark.services


@dataclass
class Model:
    """What the tables should hold: the raw version and the canonical row of each id."""

    raw: dict[str, tuple[int, tuple[str, str]]] = field(default_factory=dict)
    rows: dict[str, tuple[str, int, bool]] = field(default_factory=dict)  # name, minute, is live

    def write(self, versions: list[Version]) -> Counts:
        newest: dict[str, Version] = {}
        for version in versions:
            known = newest.get(version.key)
            if known is None or version.minute >= known.minute:
                newest[version.key] = version
        outcomes = [self._apply(version) for version in newest.values()]
        outcomes += ["skipped"] * (len(versions) - len(newest))
        return Counts(read=len(versions), **{name: outcomes.count(name) for name in set(outcomes)})

    def _apply(self, version: Version) -> str:
        stored, row = self.raw.get(version.key), self.rows.get(version.key)
        content = (version.name, version.fate)
        if stored == (version.minute, content) and version.fate != "bad":
            return "unchanged"
        if stored is not None and version.minute < stored[0]:
            return "skipped"
        self.raw[version.key] = (version.minute, content)
        if version.fate == "bad":
            return "failed"
        if version.fate == "deleted":
            if row is None:
                return "skipped"
            if not row[2]:
                return "unchanged"
            self.rows[version.key] = (row[0], version.minute, False)
            return "deleted"
        self.rows[version.key] = new = (version.name, version.minute, True)
        return "created" if row is None else "unchanged" if row == new else "updated"


@dataclass(frozen=True)
class Version:
    key: str
    minute: int
    name: str
    fate: str

    def as_record(self) -> SourceRecord:
        values = {"first_name": self.name} | ({"reject": True} if self.fate == "bad" else {})
        return record(self.key, self.minute, deleted=self.fate == "deleted", **values)


VERSIONS = st.builds(
    Version,
    key=st.sampled_from(["a", "b", "c\t\\", "d\x1f", "é🦄"]),
    minute=st.integers(0, 6),
    name=st.sampled_from(["Ana", "Bo", "tab\there", "back\\slash\n", "\x1e"]),
    fate=st.sampled_from(["live", "live", "live", "deleted", "bad"]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(VERSIONS, max_size=8), min_size=1, max_size=6))
def test_the_database_equals_the_model_after_every_batch(database: Database, batches: list[list[Version]]) -> None:
    tenant_id = f"tenant-{uuid.uuid4().hex[:12]}"
    add_tenant(database, tenant_id, "Property")
    scene, model = Scene(database, tenant_id), Model()
    total = Counts()
    with scene.writer() as writer:
        for versions in batches:
            counts = writer.write(batch_of(*(version.as_record() for version in versions)))
            assert counts == model.write(versions)
            assert counts.is_balanced
            total += counts
            assert stored(scene) == model.rows
    assert scene.sheet() == total
    raw = scene.select("SELECT external_id, source_updated_at FROM raw.salesforce_contacts")
    assert {row["external_id"]: row["source_updated_at"] for row in raw} == {
        key: at(minute) for key, (minute, _) in model.raw.items()
    }
    open_now = {key for key, (_, (_, fate)) in model.raw.items() if fate == "bad"}
    assert set(scene.letters()) == open_now


def stored(scene: Scene) -> dict[str, tuple[str, int, bool]]:
    found = scene.select("SELECT external_id, first_name, source_updated_at, deleted_at IS NULL AS is_live FROM people")
    return {
        row["external_id"]: (row["first_name"], (row["source_updated_at"] - EPOCH).seconds // 60, row["is_live"])
        for row in found
    }
