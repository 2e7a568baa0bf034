"""No call leads to a private address, however it is written."""

import pytest
import requests

from gtmc_pipelines.connectors import host_guard
from gtmc_pipelines.connectors.contract import ConnectorSettings
from gtmc_pipelines.connectors.host_guard import checked_url, is_public, public_addresses
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer

FORBIDDEN_URLS = [
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/",
    "https://198.18.0.1/",
    "https://192.0.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://[2002:7f00:1::]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2001:0:7f00:1::]/",
    "https://user@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com\\@127.0.0.1/",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "https://１２７.０.０.１/",
    "https://metadata/",
    "https://exa mple.com/",
    "https://example.com:22/",
    "https://-example.com/",
    "https://",
]


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
def test_a_forbidden_address_is_refused_in_every_notation(url: str) -> None:
    with pytest.raises(Broken) as caught:
        checked_url(url)
    assert caught.value.code == "address_refused"


@pytest.mark.parametrize(
    "url", ["https://acme.my.salesforce.com/x", "https://api.customer.io:443", "https://93.184.215.14/"]
)
def test_a_public_https_address_is_accepted(url: str) -> None:
    assert checked_url(url).scheme == "https"


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "::1", "junk"])
def test_an_address_that_hides_a_private_one_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14", "64:ff9b::808:808"])
def test_a_public_address_is_public_even_when_mapped(address: str) -> None:
    assert is_public(address)


def test_one_private_address_among_public_ones_condemns_the_name() -> None:
    with pytest.raises(Broken):
        public_addresses("rebind.example", 443, lambda host, port: ["93.184.215.14", "127.0.0.1"])


def test_a_name_that_resolves_to_loopback_is_never_dialled(
    vendor: ScriptedVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.script.append(answer(200))
    monkeypatch.setattr(host_guard, "resolve_name", lambda host, port: ["127.0.0.1"])
    with VendorSession("Acme", ConnectorSettings("acme", "c-1")) as session, pytest.raises(Broken) as caught:
        session.get(f"https://rebind.example.com:{vendor.server.server_port}/")
    assert caught.value.code == "address_refused"
    assert vendor.seen == []


def test_the_address_checked_is_the_address_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    dialled: list[str] = []

    def refuse(address: tuple[str, int], *rest: object) -> None:
        dialled.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(host_guard, "resolve_name", lambda host, port: next(answers))
    monkeypatch.setattr("gtmc_pipelines.connectors.adapters.create_connection", refuse)
    settings = ConnectorSettings("acme", "c-1")
    with VendorSession("Acme", settings, sleep=lambda seconds: None) as session, pytest.raises(Broken):
        session.get("https://rebind.example.com/")
    assert dialled == ["93.184.215.14"]


def test_only_the_named_sandbox_host_may_be_loopback(vendor: ScriptedVendor) -> None:
    vendor.script.append(answer(200, b"ok"))
    with VendorSession("Acme", vendor.settings()) as session:
        assert session.get(f"http://{vendor.host}/").content == b"ok"
        with pytest.raises(Broken):
            session.get("http://127.0.0.1:1/")


def test_a_plain_requests_session_can_not_smuggle_http_past_the_adapter() -> None:
    with VendorSession("Acme", ConnectorSettings("acme", "c-1")) as session:
        adapter = session.get_adapter("http://example.com/")
        prepared = requests.Request("GET", "http://example.com/").prepare()
        with pytest.raises(Broken):
            adapter.send(prepared)
