"""Proving a key: the region is found, and what is wrong with a key that doesn't work is said in one sentence."""

from typing import Any

import pytest

from gtmc_pipelines.connectors.customerio.auth import discover
from gtmc_pipelines.connectors.customerio.connector import CustomerioConnector
from gtmc_pipelines.model.errors import Defer, Reauthorize
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.customerio_scene import Workspace

pytestmark = pytest.mark.services


def proven(workspace: Workspace, key: str, **options: Any) -> dict[str, Any]:
    return dict(discover(workspace.settings(**options), {"api_key": Secret(key)}))


def refused(workspace: Workspace, key: str, **options: Any) -> Reauthorize:
    with pytest.raises(Reauthorize) as caught:
        proven(workspace, key, **options)
    assert key not in str(caught.value)
    return caught.value


def test_the_region_of_a_key_is_found_out(workspace: Workspace) -> None:
    assert proven(workspace, workspace.keys["api_key"]) == {"region": "us"}
    assert proven(workspace, workspace.keys["eu_api_key"]) == {"region": "eu"}
    assert proven(workspace, workspace.keys["eu_api_key"], region="eu") == {"region": "eu"}


def test_a_key_of_the_other_region_is_told_from_a_wrong_one(workspace: Workspace) -> None:
    error = refused(workspace, workspace.keys["eu_api_key"], region="us")
    assert error.code == "wrong_region"
    assert "/v1/workspaces answered 401" in error.sentence
    assert "/eu/v1/workspaces accepted it" in error.sentence
    assert "region=eu" in error.next_step
    wrong = refused(workspace, "0123456789abcdef")
    assert wrong.code == "key_refused"
    assert "/v1/workspaces and" in wrong.sentence


def test_a_key_without_permission_is_no_wrong_key(workspace: Workspace) -> None:
    workspace.break_("forbidden")
    assert refused(workspace, workspace.keys["api_key"]).code == "forbidden"


def test_a_track_key_is_recognized(workspace: Workspace) -> None:
    pair = f"{workspace.keys['site_id']}:{workspace.keys['track_key']}"
    error = refused(workspace, pair)
    assert error.code == "track_key"
    assert "region us" in error.sentence
    assert refused(workspace, "some:thing").code == "key_refused"


def test_the_probe_of_the_product_documentation_can_be_chosen(workspace: Workspace) -> None:
    with pytest.raises(Exception, match="404"):
        proven(workspace, workspace.keys["api_key"], profile="product-docs")
    workspace.break_("docs_probe")
    assert proven(workspace, workspace.keys["eu_api_key"], profile="product-docs") == {"region": "eu"}
    paths = [entry["path"] for entry in workspace.requests("accounts/region")]
    assert paths[-1] == "/eu/v1/accounts/region"


def test_a_base_url_set_by_hand_is_the_only_one_asked(workspace: Workspace) -> None:
    base = f"{workspace.base}/eu/v1"
    assert proven(workspace, workspace.keys["eu_api_key"], base_url=base) == {}
    assert refused(workspace, workspace.keys["api_key"], base_url=base).code == "key_refused"
    assert all(entry["path"].startswith("/eu/") for entry in workspace.requests())


def test_the_health_check_says_which_address_answered_and_never_raises(workspace: Workspace) -> None:
    connector = CustomerioConnector()
    good = connector.health_check(workspace.session())
    assert good.is_healthy
    assert good.facts["region"] == "us"
    moved = connector.health_check(workspace.session(workspace.keys["eu_api_key"]))
    assert not moved.is_healthy
    assert "other region" in moved.detail
    wrong = connector.health_check(workspace.session("nonsense"))
    assert (wrong.is_healthy, wrong.url) == (False, f"{workspace.base}/v1/workspaces")
    assert "refused the API key" in wrong.detail
    workspace.break_("server_error")
    assert not connector.health_check(workspace.session()).is_healthy


def test_a_used_up_quota_is_no_fault_of_the_key(workspace: Workspace) -> None:
    workspace.break_("daily_quota")
    with pytest.raises(Defer):
        proven(workspace, workspace.keys["api_key"])


def test_without_a_key_there_is_no_session(workspace: Workspace) -> None:
    from gtmc_pipelines.connectors.login import HeldCredentials

    with pytest.raises(Reauthorize) as caught:
        CustomerioConnector().authenticate(HeldCredentials({}), workspace.settings())
    assert caught.value.code == "not_connected"
    assert "--tenant acme" in caught.value.next_step
