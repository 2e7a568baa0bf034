"""The loopback listener takes one answer, echoes nothing and closes."""

import socket
import struct
import threading
import urllib.request
from urllib.parse import urlsplit

import pytest

from gtmc_pipelines.connectors.loopback import Callback, LoopbackListener, listening
from gtmc_pipelines.model.errors import GtmcError, Misuse, Reauthorize

STATE = "abc.def"


class _Visit(threading.Thread):
    """A browser that opens an address, once the listener waits or before."""

    def __init__(self, url: str, host: str = "") -> None:
        super().__init__()
        self.request, self.page = urllib.request.Request(url, headers={"Host": host} if host else {}), b""
        self.start()

    def run(self) -> None:
        with urllib.request.urlopen(self.request, timeout=5) as page:
            self.page = page.read()


def _answer(query: str) -> Callback:
    listener = LoopbackListener()
    visit = _Visit(f"{listener.redirect_uri}?{query}")
    try:
        with listener:
            return listener.wait(STATE, 5)
    finally:
        visit.join()
        assert b"close this window" in visit.page
        assert b"code" not in visit.page
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", urlsplit(listener.redirect_uri).port), 1)


def test_code_and_state_come_through() -> None:
    callback = _answer(f"code=aPrx%2B1&state={STATE}&sfdc=1")
    assert (callback.code.reveal(), callback.state) == ("aPrx+1", STATE)
    assert callback.parameters == {"sfdc": "1"}
    assert "aPrx" not in repr(callback)


@pytest.mark.parametrize(
    ("query", "kind", "code"),
    [
        ("", Misuse, "oauth_incomplete"),
        ("&code=", Misuse, "oauth_incomplete"),
        ("&error=access_denied&error_description=codeless", Reauthorize, "oauth_denied"),
        ("&error=consent_required&admin_consent=True", Reauthorize, "oauth_denied"),
        ("&error=%3Cscript%3E&error_description=secret", Reauthorize, "oauth_denied"),
    ],
)
def test_an_answer_that_grants_nothing_is_one_sentence(query: str, kind: type[GtmcError], code: str) -> None:
    with pytest.raises(kind) as caught:
        _answer(f"state={STATE}{query}")
    assert caught.value.code == code
    assert caught.value.next_step
    assert "script" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_nobody_coming_is_said_so() -> None:
    with LoopbackListener() as listener, pytest.raises(Misuse) as caught:
        listener.wait(STATE, 0.05)
    assert caught.value.code == "oauth_no_answer"


def test_a_fixed_callback_is_used_as_registered_and_its_port_must_be_free() -> None:
    with LoopbackListener() as first:
        taken = first.redirect_uri.replace("/callback", "/oauth/done")
        with pytest.raises(Misuse) as caught:
            LoopbackListener(taken)
        assert caught.value.code == "callback_port_taken"
    with LoopbackListener(taken) as second:
        assert second.redirect_uri == taken


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


ADDRESSES = ["127.0.0.1", "::1"] if _has_ipv6() else ["127.0.0.1"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_localhost_is_answered_wherever_the_browser_looks_for_it(address: str) -> None:
    with LoopbackListener() as listener:
        port = urlsplit(listener.redirect_uri).port
        host = f"[{address}]" if ":" in address else address
        visit = _Visit(f"http://{host}:{port}/callback?code=a&state={STATE}", f"localhost:{port}")
        assert listener.wait(STATE, 5).code.reveal() == "a"
    visit.join()
    assert listener.redirect_uri == f"http://localhost:{port}/callback"


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_port_taken_on_one_of_the_two_is_refused_and_the_address_is_named(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misuse) as caught:
            LoopbackListener(f"http://localhost:{port}/callback", "O365_REDIRECT_URI")
        assert f"Port {port} of the callback URL is taken on {address}" in caught.value.sentence
        assert "O365_REDIRECT_URI" in caught.value.next_step
    with LoopbackListener(f"http://localhost:{port}/callback"):  # nothing of it was left open
        pass


def test_a_machine_without_one_of_the_addresses_listens_on_the_other() -> None:
    absent = "2001:db8::1"  # of no machine (RFC 3849): binding it fails as ::1 does where there is no IPv6
    servers = listening(("127.0.0.1", absent), 0, "SALESFORCE_CALLBACK_URL")
    try:
        assert [server.getsockname()[0] for server in servers] == ["127.0.0.1"]
    finally:
        for server in servers:
            server.close()
    with pytest.raises(Misuse) as caught:
        listening((absent,), 0, "SALESFORCE_CALLBACK_URL")
    assert caught.value.code == "no_loopback_address"


@pytest.mark.parametrize("url", ["https://127.0.0.1:1717/cb", "http://app.example.com/cb", "nonsense"])
def test_a_callback_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(Misuse) as caught:
        LoopbackListener(url)
    assert caught.value.code == "callback_not_local"


def test_a_connection_that_breaks_leaves_the_login_waiting_and_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with LoopbackListener() as listener:
        with socket.create_connection(("127.0.0.1", urlsplit(listener.redirect_uri).port)) as broken:
            broken.sendall(b"GET /callback?code=lost")
            broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
        visit = _Visit(f"{listener.redirect_uri}?code=a&state={STATE}")
        assert listener.wait(STATE, 5).code.reveal() == "a"
    visit.join()
    assert capfd.readouterr().err == ""


def test_the_browser_is_led_on_to_a_second_step_at_the_same_address() -> None:
    with LoopbackListener() as listener:
        visit = _Visit(f"{listener.redirect_uri}?code=a&state={STATE}")
        assert listener.wait(STATE, 5).code.reveal() == "a"
        listener.lead_on(f"{listener.redirect_uri}?admin_consent=True&state=second")
        assert listener.wait("second", 5).parameters == {"admin_consent": "True"}
    visit.join()
    assert b"close this window" in visit.page
