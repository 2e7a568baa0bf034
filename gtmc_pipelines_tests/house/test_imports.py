"""Who may import whom: the stairs of the house, checked on every module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gtmc_pipelines_tests.house import rules
from gtmc_pipelines_tests.house.each_of import every
from gtmc_pipelines_tests.house.rules import Module

MODULES = rules.source_modules()


@every(MODULES)
def test_a_module_imports_only_from_rooms_below_it(module: Module) -> None:
    faults = rules.import_faults(module)
    assert not faults, "\n".join(faults)


@every(MODULES)
def test_sql_stands_in_storage_only(module: Module) -> None:
    faults = rules.sql_faults(module)
    assert not faults, "\n".join(faults)


@every(MODULES)
def test_the_environment_is_read_in_settings_only(module: Module) -> None:
    faults = rules.environment_faults(module)
    assert not faults, "\n".join(faults)


def test_every_room_of_the_package_has_a_rule() -> None:
    rooms = {module.room for module in MODULES} - {"__init__"}
    assert rooms - {room.path for room in rules.ROOMS} == set()


def test_every_room_says_its_rule_in_a_sentence() -> None:
    for entry in (*rules.ROOMS, *rules.LIBRARIES):
        assert entry.sentence.endswith(".")
        assert len(entry.sentence.split()) >= 4


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("storage/canonical.py", "from gtmc_pipelines.connectors.contract import Connector"),
        ("connectors/fathom/api.py", "from gtmc_pipelines.storage import engine"),
        ("model/ids.py", "from gtmc_pipelines.settings import Settings"),
        ("mapping/compile.py", "from ..vault.secret import Secret"),
        ("sandbox/app.py", "from gtmc_pipelines.model.errors import Misuse"),
        ("defs/assets.py", "from gtmc_pipelines.workflows.activities import sync"),
        ("cli/main.py", "import dagster"),
        ("cli/main.py", "import sqlalchemy.orm"),
        ("workflows/client.py", "import requests"),
        ("storage/engine.py", "import psycopg2"),
        ("workflows/connector_sync.py", "from gtmc_pipelines.settings import Settings"),
        ("workflows/connector_sync.py", "import random"),
        ("defs/assets.py", "def f():\n    import temporalio.client"),
    ],
)
def test_a_forbidden_import_is_found_and_named(place: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = Module(rules.ROOT / rules.PACKAGE / place)
    monkeypatch.setattr(Module, "tree", property(lambda _: ast.parse(line)))
    faults = rules.import_faults(module)
    assert faults
    assert all(fault.startswith(f"{rules.PACKAGE}/{place} imports ") for fault in faults)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("connectors/fathom/api.py", "import requests"),
        ("workflows/connector_sync.py", "from gtmc_pipelines.workflows.inputs import SyncInput"),
        ("cli/up.py", "from gtmc_pipelines.stack import launcher"),
        ("storage/engine.py", "import sqlalchemy"),
    ],
)
def test_an_allowed_import_passes(place: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Module, "tree", property(lambda _: ast.parse(line)))
    assert rules.import_faults(Module(Path(rules.ROOT / rules.PACKAGE / place))) == []


@pytest.mark.parametrize(
    ("code", "is_sql"),
    [
        ("q = 'SELECT id FROM people'", True),
        ("q = 'insert into people values (1)'", True),
        ("q = f'update {table} set x = 1'", True),
        ("q = 'UPDATE people SET x = 1'", True),
        ("'Select a tenant from the list'", False),
        ("m = 'Select a tenant from the list'", False),
        ("m = 'pick one from the list'", False),
    ],
)
def test_sql_is_told_from_prose(code: str, is_sql: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Module, "tree", property(lambda _: ast.parse(code)))
    assert bool(rules.sql_faults(Module(rules.ROOT / rules.PACKAGE / "cli/x.py"))) is is_sql
