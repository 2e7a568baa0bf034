"""No call leads to a private address, however it is written."""

import ipaddress

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

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


_RANGES = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/29 192.0.2.0/24 192.168.0.0/16
198.18.0.0/15 224.0.0.0/4 240.0.0.0/4
"""
_PRIVATE = [ipaddress.ip_network(text) for text in _RANGES.split()]
_inside = st.sampled_from(_PRIVATE).flatmap(
    lambda network: st.integers(int(network.network_address), int(network.broadcast_address))
)
_WRAPPINGS = {
    "mapped": lambda v4, rest: (0xFFFF << 32) | v4,
    "compatible": lambda v4, rest: v4,
    "translated": lambda v4, rest: (0xFFFF << 48) | v4,
    "NAT64": lambda v4, rest: (0x64FF9B << 96) | v4,
    "local NAT64": lambda v4, rest: (0x64FF9B0001 << 80) | (rest << 32) | v4,
    "6to4": lambda v4, rest: (0x2002 << 112) | (v4 << 80) | rest,
    "Teredo server": lambda v4, rest: (0x20010000 << 96) | (v4 << 64) | rest,
    "Teredo client": lambda v4, rest: (0x20010000 << 96) | (rest << 32) | (v4 ^ 0xFFFFFFFF),
    "ISATAP": lambda v4, rest: (0x2A00 << 112) | (rest << 64) | (0x5EFE << 32) | v4,
    "global ISATAP": lambda v4, rest: (0x2A00 << 112) | (rest << 64) | (0x02005EFE << 32) | v4,
}


@given(_inside, st.sampled_from(sorted(_WRAPPINGS)), st.integers(0, 2**48 - 1))
def test_no_wrapping_of_a_private_address_is_public(v4: int, wrapping: str, rest: int) -> None:
    address = ipaddress.IPv6Address(_WRAPPINGS[wrapping](v4, rest))
    for text in (str(address), address.exploded, f"{address}%eth0", f"{address}%1"):
        assert not is_public(text), text


@given(
    st.sampled_from(["fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "100::/64", "2001:db8::/32", "3fff::/20"]),
    st.integers(0, 2**64 - 1),
    st.sampled_from(["", "%eth0", "%25eth0"]),
)
def test_no_address_of_a_network_of_ones_own_is_public(network: str, rest: int, zone: str) -> None:
    address = ipaddress.IPv6Address(int(ipaddress.ip_network(network).network_address) | rest)
    assert not is_public(f"{address}{zone}")


@pytest.mark.parametrize(
    "address", ["2606:2800:220:1:248:1893:25c8:1946", "2a00:1450:4001:80b::200e", "64:ff9b::808:808"]
)
def test_a_vendors_address_of_version_six_is_public(address: str) -> None:
    assert is_public(address)
