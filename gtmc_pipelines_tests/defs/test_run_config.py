"""Run config takes nothing away: no variable of the process, no secret to an address of its own."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.defs.names import op_name
from gtmc_pipelines.defs.resources import CustomerioResource, FathomResource, vendor_resource
from gtmc_pipelines.defs.run_config import refuse_bare_address, refuse_foreign_variables
from gtmc_pipelines.defs.vendor_resource import VendorResource
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse, Reauthorize
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database

THEIRS = "https://theirs.example"
FIELDS = [(kind, name) for kind in ConnectorType for name in type(vendor_resource(kind)).address_fields]
CANARY = "canary-of-a-variable"


def ran(resource: VendorResource, config: dict[str, Any]) -> str:
    """What a run of an ad-hoc asset with this resource config came to: `made`, or the refusal."""

    @dg.asset
    def ad_hoc(vendor: dg.ResourceParam[Any]) -> None:
        """It has its resource; what that sends is another test's."""

    job = dg.Definitions([ad_hoc], resources={"vendor": resource}).resolve_implicit_global_asset_job_def()
    try:
        done = job.execute_in_process(run_config={"resources": {"vendor": {"config": config}}})
    except dg.DagsterError as error:
        return f"{error} {error.__cause__}"
    return "made" if done.success else "failed"


@pytest.mark.parametrize("kind", [kind for kind in ConnectorType if kind is not ConnectorType.SALESFORCE])
def test_a_run_of_an_ad_hoc_asset_takes_no_address_without_credentials(kind: ConnectorType) -> None:
    made = type(vendor_resource(kind))
    in_code = made(**dict.fromkeys(made.secret_fields, "set-in-code"))
    name = made.address_fields[0]
    assert f"Run config names {name} but not the credentials" in ran(in_code, {name: THEIRS})


def test_a_run_takes_what_is_brought_and_no_variable_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", CANARY)
    monkeypatch.setenv("GTMC_SECRET_OF_MINE", "mine")
    said = ran(FathomResource(), {"base_url": THEIRS, "api_key": {"env": "CONNECTOR_ENCRYPTION_KEY"}})
    assert "Run config names the variable 'CONNECTOR_ENCRYPTION_KEY'" in said
    assert CANARY not in said
    assert ran(FathomResource(), {"base_url": THEIRS, "api_key": {"env": "GTMC_SECRET_OF_MINE"}}) == "made"
    in_code = FathomResource(base_url=THEIRS, api_key=dg.EnvVar("CONNECTOR_ENCRYPTION_KEY"))  # code may
    assert ran(in_code, {}) == "made"


@pytest.mark.services
def test_a_key_set_in_code_goes_to_no_address_that_a_tenant_chose(
    database: Database, tenant: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GTMC_DATABASE_URL", postgres_url)
    add_connector(database, tenant, "fathom", options={"base_url": THEIRS})
    with pytest.raises(Reauthorize) as refused, FathomResource(api_key="ours").session(tenant):
        pass
    assert refused.value.code == "address_changed"
    with FathomResource(api_key="ours", base_url=THEIRS).session(tenant) as session:  # our own word
        assert session


def _kinds_of(made: type[Any]) -> set[type[Any]]:
    return {made, *(below for kind in made.__subclasses__() for below in _kinds_of(kind))}


def test_no_value_of_a_variable_is_said_by_a_field_that_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", CANARY)
    said = ran(CustomerioResource(), {"region": {"env": "CONNECTOR_ENCRYPTION_KEY"}})
    assert "validation error" in said
    assert CANARY not in said
    ours = {made for made in _kinds_of(dg.Config) if made.__module__.startswith("gtmc_pipelines.")}
    ours = {made for made in ours if "[" not in made.__name__}  # Dagster's generic base, bound in our module
    assert len(ours) > len(ConnectorType)
    assert not [made for made in ours if not made.model_config.get("hide_input_in_errors")]


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_an_address_goes_with_the_credentials_of_the_same_config_alone(kind: ConnectorType, name: str) -> None:
    made = type(vendor_resource(kind))
    nothing, in_force = dict.fromkeys(made.secret_fields), dict.fromkeys(made.secret_fields, "s")
    for written, secrets in (
        ({name: THEIRS}, nothing),
        ({name: THEIRS}, in_force),
        ({name: THEIRS, **dict.fromkeys(made.secret_fields, "*******")}, in_force),
        *(({name: THEIRS, one: "s"}, in_force) for one in made.secret_fields if len(in_force) > 1),
    ):
        with pytest.raises(Misuse) as refused:
            refuse_bare_address(written, made.address_fields, secrets)
        assert refused.value.code == "address_without_credentials"
    for written in ({name: THEIRS, **in_force}, {name: None}, {}, in_force):
        refuse_bare_address(written, made.address_fields, in_force)


@pytest.mark.parametrize(
    "written",
    [
        {"env": "PATH"},
        {"config": {"streams": [{"env": "PATH"}]}},
        {"config": {"a": [[{"b": {"env": "PATH"}}]]}},
        {"config": {"one": {"env": "GTMC_SECRET_A"}, "two": {"env": "gtmc_secret_a"}}},
    ],
)
def test_variables_are_found_at_any_depth(written: Any) -> None:
    with pytest.raises(Misuse) as refused:
        refuse_foreign_variables(written)
    assert refused.value.code == "variable_refused"


@pytest.mark.parametrize("written", [None, {}, [], {"config": {"streams": ["env"], "x": {"env": "GTMC_SECRET_A"}}}])
def test_what_names_none_or_one_of_those_passes(written: Any) -> None:
    refuse_foreign_variables(written)


def test_the_sync_itself_tells_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", CANARY)
    config = {"ops": {op_name(ConnectorType.FATHOM): {"config": {"tenant_ids": [{"env": "CONNECTOR_ENCRYPTION_KEY"}]}}}}
    with dg.instance_for_test() as instance:
        done = defs.resolve_job_def("fathom_sync").execute_in_process(
            instance=instance, run_config=config, raise_on_error=False
        )
        told = "".join(str(entry) for entry in instance.all_logs(done.run_id))
    assert not done.success
    assert "variable_refused" in told
    assert CANARY not in told
