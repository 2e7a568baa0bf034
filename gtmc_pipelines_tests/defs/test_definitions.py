"""The definitions load fast and with nothing running, and an accidental change of the graph is a diff."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.main import get_command

from gtmc_pipelines.cli.main import COMMANDS, app
from gtmc_pipelines.definitions import defs
from gtmc_pipelines.defs import run_body
from gtmc_pipelines.defs.columns import canonical_schema, fields_read, raw_schema
from gtmc_pipelines.defs.enabled import default_mappings, enabled_types
from gtmc_pipelines.defs.translator import asset_specs
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity

SNAPSHOT = Path(__file__).parent / "snapshots" / "asset_graph.json"
SALESFORCE = ConnectorType.SALESFORCE


def test_the_definitions_are_valid() -> None:
    dg.Definitions.validate_loadable(defs)


def test_loading_touches_no_service_and_no_heavy_library() -> None:
    script = (
        "import sys, gtmc_pipelines.definitions as d\n"
        "d.dg.Definitions.validate_loadable(d.defs)\n"
        "print([name for name in ('temporalio', 'pandas', 'sqlalchemy', 'psycopg') if name in sys.modules])"
    )
    nowhere = {"PATH": os.environ["PATH"], "GTMC_HOME": "/nonexistent", "GTMC_DATABASE_URL": "not a url"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, env=nowhere, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_dagster_itself_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-m", "gtmc_pipelines.definitions"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "DAGSTER_HOME": str(tmp_path)},
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_asset_graph_is_the_one_in_the_snapshot() -> None:
    """After a change on purpose: GTMC_WRITE_SNAPSHOTS=1 pytest -k snapshot, and look at the diff."""
    graph = [_shape(spec) for spec in sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key)]
    if os.environ.get("GTMC_WRITE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(graph, indent=1) + "\n")
    assert graph == json.loads(SNAPSHOT.read_text())


def _shape(spec: dg.AssetSpec) -> dict[str, Any]:
    lineage = spec.metadata.get("dagster/column_lineage")
    return {
        "key": spec.key.to_user_string(),
        "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "owners": list(spec.owners),
        "layer": spec.tags["layer"],
        "partitions": spec.partitions_def.name
        if isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition)
        else "",
        "skippable": spec.skippable,
        "table": spec.metadata["dagster/table_name"],
        "columns": [column.name for column in spec.metadata["dagster/column_schema"].columns],
        "lineage": {
            column: sorted(f"{dep.asset_key.to_user_string()}:{dep.column_name}" for dep in deps)
            for column, deps in (lineage.deps_by_column if lineage else {}).items()
        },
    }


def test_only_registered_connectors_have_definitions() -> None:
    groups = {spec.group_name for spec in defs.resolve_all_asset_specs()}
    assert groups == {str(connector) for connector in enabled_types()}
    assert SALESFORCE in enabled_types()


@pytest.mark.parametrize("connector", list(ConnectorType))
def test_every_type_of_the_catalog_can_become_assets(connector: ConnectorType) -> None:
    specs = asset_specs(connector, {})
    raw = [spec for spec in specs if spec.tags["layer"] == "raw"]
    assert len(raw) == len(STREAMS[connector])
    assert {dep.asset_key for spec in specs for dep in spec.deps} == {spec.key for spec in raw}
    assert all(spec.skippable and len(spec.kinds) == 2 and spec.owners for spec in specs)


@pytest.mark.parametrize("connector", list(ConnectorType))
def test_the_descriptions_say_where_it_lands_and_how_to_run_it_in_full(connector: ConnectorType) -> None:
    for spec in asset_specs(connector, {}):
        assert f"`{spec.metadata['dagster/table_name']}`" in (spec.description or "")
        assert f"ops:\n  {connector}:\n    config:\n      sync_type: full" in (spec.description or "")


@pytest.mark.parametrize("entity", list(Entity))
def test_canonical_columns_are_those_of_the_table(entity: Entity) -> None:
    from gtmc_pipelines.storage.data_tables import CANONICAL

    shown = {column.name: column.constraints.nullable for column in canonical_schema(SALESFORCE, entity, {}).columns}
    assert shown == {c.name: c.nullable and not c.primary_key for c in CANONICAL[entity].columns}


@pytest.mark.parametrize("connector", list(ConnectorType))
def test_raw_columns_are_those_of_the_table(connector: ConnectorType) -> None:
    from gtmc_pipelines.storage.data_tables import RAW

    for stream in STREAMS[connector]:
        shown = {column.name for column in raw_schema(stream, {}).columns}
        assert shown == {column.name for column in RAW[stream.raw_table].columns}


def test_a_canonical_column_names_the_source_fields_it_comes_from() -> None:
    specs = {spec.key: spec for spec in asset_specs(SALESFORCE, default_mappings(SALESFORCE))}
    people = specs[dg.AssetKey(["salesforce", "canonical", "people"])]
    sources = {
        (dep.asset_key.path[-1], dep.column_name)
        for dep in people.metadata["dagster/column_lineage"].deps_by_column["email"]
    }
    assert sources == {("contacts", "Email"), ("leads", "Email")}


def test_descriptions_of_columns_say_where_they_come_from_and_what_they_fill() -> None:
    mappings = default_mappings(SALESFORCE)
    people = {c.name: c.description for c in canonical_schema(SALESFORCE, Entity.PERSON, mappings).columns}
    contacts = {c.name: c.description for c in raw_schema(STREAMS[SALESFORCE][1], mappings).columns}
    assert people["email"] == "E-mail address, lower case. By default from contacts.Email, leads.Email"
    assert contacts["Email"] == "By default fills people.email"


@pytest.mark.parametrize("connector", list(ConnectorType))
def test_code_references_lead_to_files_that_are_there(connector: ConnectorType) -> None:
    for spec in asset_specs(connector, {}):
        places = spec.metadata["dagster/code_references"].code_references
        assert len(places) == 2
        assert all(Path(place.file_path).is_file() and place.label for place in places)


def test_lists_show_the_first_sentence_of_a_description_as_it_is_written() -> None:
    for spec in defs.resolve_all_asset_specs():
        assert not set("*`_") & set(
            (spec.description or "*").split(". ")[0].split("\n")[0].replace(spec.key.path[2], "")
        )


def test_every_column_in_a_lineage_exists_upstream() -> None:
    specs = {spec.key: spec for spec in asset_specs(SALESFORCE, default_mappings(SALESFORCE))}
    for spec in specs.values():
        lineage = spec.metadata.get("dagster/column_lineage")
        columns = {column.name for column in spec.metadata["dagster/column_schema"].columns}
        for column, deps in (lineage.deps_by_column if lineage else {}).items():
            assert column in columns
            for dep in deps:
                upstream = specs[dep.asset_key].metadata["dagster/column_schema"].columns
                assert dep.column_name in {c.name for c in upstream}


def test_fields_an_expression_takes_from_the_record_are_part_of_the_lineage() -> None:
    entry = MappingEntry("Name", "name", Transform.CUSTOM, custom_transform="value + ' ' + record.Account.Site")
    assert fields_read(entry) == ("Name", "Account.Site")


def test_a_changed_mapping_changes_the_code_version_of_its_canonical_asset_only() -> None:
    before = {spec.key: spec.code_version for spec in asset_specs(SALESFORCE, default_mappings(SALESFORCE))}
    changed = {**default_mappings(SALESFORCE), Entity.ACCOUNT: (MappingEntry("Name", "name"),)}
    after = {spec.key: spec.code_version for spec in asset_specs(SALESFORCE, changed)}
    assert [key.path[1:] for key in before if before[key] != after[key]] == [["canonical", "accounts"]]


def test_each_type_has_a_job_for_an_ordinary_and_one_for_a_full_sync() -> None:
    jobs = {job.name for job in defs.get_repository_def().get_all_jobs()}
    assert {"salesforce_sync", "salesforce_full_sync"} <= jobs


def test_commands_that_dagster_tells_people_to_type_exist() -> None:
    told = {
        tuple(match.split()): path.name
        for path in sorted(Path(run_body.__file__).parent.rglob("*.py"))
        for match in re.findall(r"\bgtmc ([a-z0-9]+(?:-[a-z]+)?(?: [a-z]+(?:-[a-z]+)?)?)", path.read_text())
    }
    missing = [f"{file}: gtmc {' '.join(words)}" for words, file in told.items() if not _is_command(words)]
    assert len(told) > 8
    assert missing == []


def _is_command(words: tuple[str, ...]) -> bool:
    """Whether the words begin a command; after one that has none below it they are prose."""
    if words[0] not in COMMANDS:
        return False
    found = get_command(app).get_command(None, words[0])  # type: ignore[attr-defined]
    below = getattr(found, "commands", None)
    return below is None or len(words) == 1 or words[1] in below
