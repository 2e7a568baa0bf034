"""`gtmc sandbox` as a process of its own, and its state folder."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from gtmc_pipelines.sandbox.options import SandboxMisuse, SandboxOptions, is_registrable, parse_size
from gtmc_pipelines.sandbox.running import running

from .conftest import Client

pytestmark = pytest.mark.services

COMMAND = [sys.executable, "-m", "gtmc_pipelines.cli.main", "sandbox"]


def start(*options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen([*COMMAND, "--json", *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    announcement: dict[str, Any] = json.loads(process.stdout.readline())
    return process, announcement


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_announces_itself_serves_and_ends_cleanly(number: signal.Signals) -> None:
    process, announcement = start("--tenants", "umbrella", "--size", "contacts=10")
    with process:
        vendor = announcement["vendors"]["salesforce"]
        assert list(vendor["credentials"]["orgs"]) == ["umbrella"]
        assert Path(announcement["ca_file"]).exists()
        truth = requests.get(f"{vendor['http']}/_sandbox/truth?org=umbrella&digest=false", timeout=30).json()
        assert truth["objects"]["Contact"]["live"] == 10
        docs = requests.get(f"{vendor['https']}/_sandbox/docs", verify=announcement["ca_file"], timeout=30)
        assert docs.text.startswith("# Sandbox: salesforce")
        process.send_signal(number)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--vendor", "nope"], "There is no vendor 'nope'"),
        (["--size", "contact=5"], "There is no size 'contact'"),
        (["--size", "contacts"], "is not a size"),
        (["--redirect-uri", "http://127.0.0.1:8400/callback"], "cannot be an HTTP URL"),
    ],
)
def test_a_wrong_option_gets_one_sentence_and_status_1(options: list[str], says: str) -> None:
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(SandboxMisuse, match=f"127.0.0.1:{port} can't be used for salesforce"),
            running(SandboxOptions(first_port=port)),
        ):
            pass


@pytest.mark.parametrize(
    ("uri", "is_taken"),
    [
        ("https://platform.example/callback", True),
        ("http://localhost:1717/OauthRedirect", True),
        ("http://localhost/", True),
        ("http://127.0.0.1:8400/callback", False),
        ("http://[::1]:8400/callback", False),
        ("http://platform.example/callback", False),
        ("http://localhost.example/callback", False),
        ("http://localhost:8400/callback#part", False),
        ("http://localhost:99999/callback", False),
        ("localhost:8400/callback", False),
        ("https:///callback", False),
    ],
)
def test_the_app_takes_the_callbacks_that_the_vendors_forms_take(uri: str, is_taken: bool) -> None:
    assert is_registrable(uri) is is_taken
    if is_taken:
        assert uri in SandboxOptions(redirect_uris=(uri,)).registered_redirects
    else:
        with pytest.raises(SandboxMisuse, match="HTTP URL"):
            SandboxOptions(redirect_uris=(uri,))


def test_a_size_is_a_name_and_a_number() -> None:
    assert parse_size("contacts=200_000") == ("contacts", 200_000)


def test_grants_changes_and_the_ca_outlive_a_restart(tmp_path: Path) -> None:
    options = SandboxOptions(state_dir=tmp_path, tenants=("acme",))
    with running(options) as announcement:
        client = Client(announcement)
        query = {
            "response_type": "code",
            "client_id": client.credentials["client_id"],
            "redirect_uri": "http://localhost:8400/callback",
            "login_hint": "acme",
        }
        url = f"{client.base}/services/oauth2/authorize"
        back = requests.get(url, params=query, allow_redirects=False, timeout=30).headers["location"]
        code = back.split("code=")[1]
        tokens = client.token(
            grant_type="authorization_code", code=code, redirect_uri="http://localhost:8400/callback"
        ).json()
        client.mutate("delete", count=2)
        client.mutate("create", count=2, fields={"LastName": "Bleibt"})
        truth = client.control("GET", "truth?org=acme")
        authority = Path(announcement["ca_file"]).read_bytes()
        client.http.close()
    with running(options) as announcement:
        client = Client(announcement)
        assert client.control("GET", "truth?org=acme") == truth
        assert Path(announcement["ca_file"]).read_bytes() == authority
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert requests.get(f"{client.data}/limits", headers=headers, timeout=30).status_code == 200
        renewed = client.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
        assert renewed.status_code == 200
        client.http.close()
    with pytest.raises(SandboxMisuse, match="--seed 7"), running(SandboxOptions(seed=8, state_dir=tmp_path)):
        pass
