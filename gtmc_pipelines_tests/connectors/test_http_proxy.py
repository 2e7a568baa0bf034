"""Calls through an HTTP proxy: hosts are checked first, the environment has no say, the password is seen nowhere."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines import connectors
from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.http_proxy import HttpProxy, proxy_secrets
from gtmc_pipelines.model.errors import Broken, Misuse, Retry
from gtmc_pipelines.settings import Settings, load_settings
from gtmc_pipelines.stack import doctor
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.vault.redaction import Redactor
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer

PASSWORD = "s3cr3t@w/rd:%"
QUOTED = "s3cr3t%40w%2Frd%3A%25"


@dataclass
class ConnectProxy:
    """A small real CONNECT proxy on loopback: wants a login, answers `status`, notes whom it was asked for."""

    status: int = 200
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._server]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def url(self, password: str = QUOTED) -> Secret:
        return Secret(f"http://gtmc:{password}@127.0.0.1:{self.port}")

    def close(self) -> None:
        for each in self._open:
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            self._open.append(near)
            threading.Thread(target=self._tunnel, args=(near,), daemon=True).start()

    def _tunnel(self, near: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += near.recv(65536)
        lines = head.decode().split("\r\n")
        target = lines[0].split()[1]
        self.asked.append(target)
        login = base64.b64encode(f"gtmc:{PASSWORD}".encode()).decode()
        status = self.status if f"Proxy-Authorization: Basic {login}" in lines else 407
        near.sendall(f"HTTP/1.1 {status} As said\r\nVia: a proxy\r\n\r\n".encode())
        if status != 200:
            near.close()
            return
        host, _, port = target.rpartition(":")
        far = socket.create_connection((host, int(port)))
        self._open.append(far)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    opened = ConnectProxy()
    yield opened
    opened.close()


@pytest.fixture
def vendor() -> Iterator[ScriptedVendor]:
    opened = ScriptedVendor()
    opened.script.append(answer(200, b'{"ok": true}'))
    yield opened
    opened.close()


@pytest.fixture
def public_dns(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Names the resolver knows besides the real ones."""
    known: dict[str, str] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **more: Any) -> Any:
        return real(known.get(host, host), *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def _session(url: Secret, **more: Any) -> VendorSession:
    given_settings = ConnectorSettings("acme", "c-1", http_proxy=url, http=HttpLimits(max_attempts=2), **more)
    return VendorSession("The vendor", given_settings, sleep=lambda _: None)


def test_a_call_goes_through_the_proxy_with_its_login(vendor: ScriptedVendor, proxy: ConnectProxy) -> None:
    with _session(proxy.url(), sandbox_hosts=frozenset({vendor.host})) as http:
        assert http.get(f"http://{vendor.host}/a").json() == {"ok": True}
        assert http.get(f"http://{vendor.host}/b").json() == {"ok": True}
        http.serve_plainly(vendor.host)
        assert http.get(f"https://{vendor.host}/c").json() == {"ok": True}
    assert set(proxy.asked) == {vendor.host}
    assert [seen[0] for seen in vendor.seen] == ["GET /a", "GET /b", "GET /c"]
    assert "Proxy-Authorization" not in {name for _, headers in vendor.seen for name in headers}


def test_vendor_tls_passes_through_the_tunnel(sandbox: dict[str, Any], proxy: ConnectProxy) -> None:
    url = sandbox["vendors"]["fathom"]["https"]
    hosts = frozenset({url.partition("://")[2]})
    with _session(proxy.url(), sandbox_hosts=hosts, ca_file=sandbox["ca_file"]) as http:
        assert http.get(f"{url}/_sandbox/docs").status_code == 200
    assert set(proxy.asked) == hosts


@pytest.mark.parametrize("address", ["10.0.0.5", "127.0.0.1", "169.254.169.254", "::1"])
def test_a_name_that_leads_inside_is_refused_before_the_proxy_hears_of_it(
    address: str, proxy: ConnectProxy, public_dns: dict[str, str]
) -> None:
    public_dns["rebinding.example"] = address
    with _session(proxy.url()) as http, pytest.raises(Broken, match="not public"):
        http.get("https://rebinding.example/latest")
    assert proxy.asked == []


def test_a_public_host_is_asked_for_by_name(proxy: ConnectProxy, public_dns: dict[str, str]) -> None:
    public_dns["vendor.example"] = "93.184.216.34"
    proxy.status = 403
    with _session(proxy.url()) as http, pytest.raises(Broken) as caught:
        http.get("https://vendor.example/v1")
    assert proxy.asked == ["vendor.example:443"]
    assert (caught.value.code, "refuses to connect to vendor.example" in str(caught.value)) == ("proxy_refused", True)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(407, Broken, "proxy_refused"), (502, Retry, "proxy_failed"), (0, Retry, "proxy_failed")],
)
def test_a_proxys_refusal_is_a_sentence_without_its_password(
    status: int, kind: type[Broken] | type[Retry], code: str, vendor: ScriptedVendor, proxy: ConnectProxy
) -> None:
    proxy.status = status
    url = proxy.url("wrong-passw0rd") if status == 407 else proxy.url()
    if status == 0:
        url = Secret(f"http://gtmc:{QUOTED}@{vendor.host}")
        vendor.script[0] = lambda handler: handler.connection.close()
    with _session(url, sandbox_hosts=frozenset({vendor.host})) as http, pytest.raises(kind) as caught:
        http.get(f"http://{vendor.host}/a")
    assert caught.value.code == code
    assert not any(part in str(caught.value) for part in (PASSWORD, QUOTED, "wrong-passw0rd", "gtmc:"))


def test_a_proxy_that_is_not_there_is_told_and_tried_again(vendor: ScriptedVendor) -> None:
    port = free_port()
    url = Secret(f"http://127.0.0.1:{port}")
    with _session(url, sandbox_hosts=frozenset({vendor.host})) as http, pytest.raises(Retry) as caught:
        http.get(f"http://{vendor.host}/a")
    assert (caught.value.code, http.requests) == ("proxy_unreachable", 2)
    assert f"127.0.0.1:{port}" in str(caught.value)


def test_nobody_talks_to_a_vendor_but_by_the_guarded_session() -> None:
    """The environment's proxies have no say there (test_http); msal and simple-salesforce are handed this session."""
    folder = Path(str(connectors.__file__)).parent
    texts = {path.name: path.read_text() for path in folder.rglob("*.py")}
    makers = [name for name, text in texts.items() if "requests.Session" in text or "requests.get(" in text]
    assert makers == ["http.py"]
    assert "self.trust_env = False" in texts["http.py"]
    assert all("http_client=" in text for text in texts.values() if "ConfidentialClientApplication(" in text)


def test_what_the_redactor_is_told_of_a_proxy_masks_every_form_of_its_password(proxy: ConnectProxy) -> None:
    redactor = Redactor()
    redactor.remember(*proxy_secrets(proxy.url()))
    made = HttpProxy.of(proxy.url())
    assert made is not None
    assert made.authorization is not None
    header = made.authorization.reveal()
    masked = redactor.redact(f"{proxy.url().reveal()} {PASSWORD} {QUOTED} {header}")
    assert not any(part in masked for part in (PASSWORD, QUOTED, header.partition(" ")[2]))
    assert PASSWORD not in repr(made)
    assert "s3cr3t" not in repr(replace(ConnectorSettings("a", "c"), http_proxy=proxy.url()))


def test_the_doctor_shows_where_the_proxy_is_and_not_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTMC_HTTP_PROXY", f"http://gtmc:{QUOTED}@proxy.example:3128")
    found = doctor.proxy(load_settings())
    assert "proxy.example:3128" in found.found
    assert not any(part in repr((found, load_settings())) for part in (QUOTED, PASSWORD, "gtmc:"))


@settings(max_examples=60)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30))
def test_a_malformed_proxy_is_refused_without_a_word_of_it(text: str) -> None:
    url = f"http://gtmc:{text}@s3cr3t@proxy.example"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GTMC_HTTP_PROXY", url)
        with pytest.raises(Misuse) as caught:
            load_settings()
    assert "GTMC_HTTP_PROXY" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_sandbox_hosts_are_refused_unless_this_is_a_development_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTMC_SANDBOX_HOSTS", "127.0.0.1:8800")
    assert load_settings().allowed_sandbox_hosts == {"127.0.0.1:8800"}
    for word in ("0", "false", None):
        if word is None:
            monkeypatch.delenv("GTMC_DEVELOPMENT")
        else:
            monkeypatch.setenv("GTMC_DEVELOPMENT", word)
        with pytest.raises(Misuse, match=r"GTMC_SANDBOX_HOSTS: .* GTMC_DEVELOPMENT=1"):
            load_settings()
    monkeypatch.delenv("GTMC_SANDBOX_HOSTS")
    assert Settings().allowed_sandbox_hosts == frozenset()
