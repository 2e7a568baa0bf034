"""Which settings a running sandbox provides, and that it never mixes with a real vendor's."""

from __future__ import annotations

import json
from pathlib import Path

from gtmc_pipelines.stack.sandbox_part import SandboxPart, sandbox_environment, without_real_vendors

ANNOUNCED = {
    "ca_file": "/ca.pem",
    "vendors": {
        "salesforce": {
            "http": "http://127.0.0.1:1",
            "https": "https://127.0.0.1:2",
            "credentials": {"client_id": "imitated", "client_secret": "imitated too"},
        },
        "customerio": {"http": "http://127.0.0.1:3", "https": "https://127.0.0.1:4"},
    },
}


def test_a_sandbox_provides_addresses_and_an_app_of_its_own() -> None:
    variables = sandbox_environment(ANNOUNCED)
    assert variables["GTMC_SANDBOX_HOSTS"].split(",") == [f"127.0.0.1:{port}" for port in (1, 2, 3, 4)]
    assert variables["SALESFORCE_LOGIN_URL"] == "http://127.0.0.1:1"
    assert without_real_vendors(variables, set()) == variables


def test_a_real_app_is_not_sent_to_the_imitated_login_page() -> None:
    left = without_real_vendors(sandbox_environment(ANNOUNCED), {"SALESFORCE_CLIENT_ID", "GTMC_CA_FILE"})
    assert not any(name.startswith("SALESFORCE_") for name in left)
    assert left["CUSTOMERIO_API_URL"].startswith("http://127.0.0.1:3")
    assert "GTMC_SANDBOX_HOSTS" in left


def test_keys_of_the_imitated_accounts_lie_in_files_that_commands_take(tmp_path: Path) -> None:
    accounts = {"customerio": {"api_key": "k1"}, "o365": {"allowed_domains": ["a.example", "b.example"]}}
    vendors = {name: {"credentials": {"orgs": {"acme": held}}} for name, held in accounts.items()}
    (tmp_path / "sandbox.json").write_text(json.dumps({"vendors": vendors}))
    part = SandboxPart(tmp_path)
    part.write_keys()
    written = {file.name: file.read_text() for file in (part.keys_folder / "acme").iterdir()}
    assert written == {"customerio.key": "k1\n", "o365.domains": "a.example b.example\n"}
