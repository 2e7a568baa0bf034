"""`gtmc connectors schedule` and `gtmc audit`: what is set, shown and recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenant_removal import remove_tenant
from gtmc_pipelines_tests.cli.mapping_scene import MappingScene

pytestmark = pytest.mark.services

runner = CliRunner()


def gtmc(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exception is None, result.exception
    return result.stdout


def refusal(*arguments: str) -> GtmcError:
    result = runner.invoke(app, list(arguments))
    assert isinstance(result.exception, GtmcError), result.exception
    return result.exception


def entries(tenant: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gtmc("audit", "list", "--tenant", tenant, "--json"))
    return found


def test_a_schedule_is_set_shown_with_its_next_times_and_taken_back(
    mapped: MappingScene, database: Database, tenant: str
) -> None:
    here = ("connectors", "schedule", "--tenant", tenant, "--connector", "salesforce")
    shown = json.loads(gtmc(*here, "--cron", "30 6 * * *", "--timezone", "Asia/Tokyo", "--json"))
    times = [datetime.fromisoformat(text) for text in shown["next"]]
    assert [(moment.hour, moment.minute, str(moment.utcoffset())) for moment in times] == [(6, 30, "9:00:00")] * 5
    row = require_connector(database, tenant, "salesforce")
    assert (row.schedule_cron, row.schedule_timezone) == ("30 6 * * *", "Asia/Tokyo")
    assert "by default" in gtmc(*here, "--default")
    assert require_connector(database, tenant, "salesforce").schedule_cron is None
    back, there, *_ = entries(tenant)
    assert there["actor"].startswith("cli:")
    assert there["changes"] == {
        "before": {"cron": None, "timezone": "UTC"},
        "after": {"cron": "30 6 * * *", "timezone": "Asia/Tokyo"},
    }
    assert back["changes"]["before"] == there["changes"]["after"]


def test_a_schedule_that_is_there_already_is_not_recorded_again(mapped: MappingScene, tenant: str) -> None:
    for _ in range(2):
        gtmc("connectors", "schedule", "--tenant", tenant, "--connector", "salesforce", "--cron", "0 * * * *")
    assert [one["action"] for one in entries(tenant)].count("connector.schedule") == 1


def test_bad_schedules_change_nothing(mapped: MappingScene, database: Database, tenant: str) -> None:
    here = ("connectors", "schedule", "--tenant", tenant, "--connector", "salesforce")
    assert refusal(*here, "--cron", "* * * * *").code == "too_often"
    assert refusal(*here, "--cron", "0 * * * *", "--timezone", "Mars/Base").code == "unknown_timezone"
    for neither_nor_both in ((), ("--cron", "0 * * * *", "--default")):
        assert runner.invoke(app, [*here, *neither_nor_both]).exit_code == 2
    assert require_connector(database, tenant, "salesforce").version == mapped.row.version


def test_the_log_is_listed_newest_first_and_by_action(mapped: MappingScene, tenant: str) -> None:
    gtmc("o365", "domains", "add", "--tenant", tenant, "partner.com")
    newest = entries(tenant)
    assert [one["action"] for one in newest] == ["o365.domains", "connector.create", "tenant.create"]
    assert newest[0]["changes"]["before"] == {"allowed": [], "own": None}
    only = json.loads(gtmc("audit", "list", "-t", tenant, "--action", "tenant", "--json"))
    assert [one["action"] for one in only] == ["tenant.create"]
    assert "partner.com" in gtmc("audit", "list", "--tenant", tenant, "--limit", "1")
    assert any(one["tenant"] == tenant for one in json.loads(gtmc("audit", "list", "--limit", "5000", "--json")))


def test_verify_says_where_a_chain_breaks_and_fails(mapped: MappingScene, tenant: str, postgres_url: str) -> None:
    gtmc("o365", "domains", "add", "--tenant", tenant, "partner.com")
    assert "3 rows of 1 tenants fit" in gtmc("audit", "verify", "--tenant", tenant)
    second = entries(tenant)[1]
    url = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE audit_log SET user_id = 'nobody' WHERE id = %s", (second["id"],))
    error = refusal("audit", "verify", "--tenant", tenant)
    assert error.code == "audit_broken"
    assert second["id"] in error.sentence
    assert "connector.create" in error.sentence
    result = runner.invoke(app, ["audit", "verify", "--tenant", tenant, "--json"])
    assert json.loads(result.stdout)[0]["is_sound"] is False
    with psycopg.connect(url) as connection:  # other tests verify all tenants
        connection.execute("UPDATE audit_log SET user_id = %s WHERE id = %s", (second["actor"], second["id"]))


@pytest.fixture
def removed_rows(postgres_url: str, tenant: str) -> Iterator[Callable[[int], None]]:
    """Removes all rows of the tenant's log but the oldest so many, as the owner of the schema can; puts them back."""
    url = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no trigger runs when they are put back
        connection.execute("CREATE TEMP TABLE kept AS SELECT * FROM audit_log WHERE tenant_id = %s", (tenant,))

        def remove(but: int) -> None:
            connection.execute(
                "DELETE FROM audit_log WHERE position IN (SELECT position FROM kept ORDER BY position OFFSET %s)",
                (but,),
            )

        yield remove
        connection.execute("INSERT INTO audit_log OVERRIDING SYSTEM VALUE SELECT * FROM kept ON CONFLICT DO NOTHING")


def test_verify_says_whose_log_is_cut_and_where(
    mapped: MappingScene, tenant: str, removed_rows: Callable[[int], None]
) -> None:
    oldest = entries(tenant)[-1]
    (anchor,) = json.loads(gtmc("audit", "verify", "--tenant", tenant, "--json"))
    assert (anchor["rows"], anchor["head"]) == (2, entries(tenant)[0]["hash"])
    removed_rows(1)
    error = refusal("audit", "verify", "--tenant", tenant)
    assert error.code == "audit_broken"
    assert f"log of {tenant} lacks 1 of 2 rows, all after row {oldest['id']} (tenant.create, " in error.sentence
    (row,) = json.loads(runner.invoke(app, ["audit", "verify", "--tenant", tenant, "--json"]).stdout)
    assert (row["is_sound"], row["rows"], row["written"]) == (False, 1, 2)
    removed_rows(0)
    assert (
        f"log of {tenant} lacks 2 of 2 rows, the newest written at 2"
        in refusal("audit", "verify", "--tenant", tenant).sentence
    )


def test_the_log_of_a_removed_tenant_is_verified_too(mapped: MappingScene, database: Database, tenant: str) -> None:
    remove_tenant(database, tenant, actor="cli:anna")
    assert "1 rows of 1 tenants fit" in gtmc("audit", "verify", "--tenant", tenant)
    all_of_them = json.loads(runner.invoke(app, ["audit", "verify", "--json"]).stdout)
    assert [row["is_sound"] for row in all_of_them if row["tenant"] == tenant] == [True]
    assert refusal("audit", "verify", "--tenant", "nobody-known").code == "unknown_tenant"
