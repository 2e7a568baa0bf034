"""The loopback listener takes one answer, echoes nothing and closes."""

import socket
import struct
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

from gtmc_pipelines.connectors.loopback import Callback, LoopbackListener, listening
from gtmc_pipelines.model.errors import GtmcError, Misuse, Reauthorize


class _Visit(threading.Thread):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.page = url, b""
        self.start()

    def run(self) -> None:
        with urllib.request.urlopen(self.url, timeout=5) as page:
            self.page = page.read()


def _answer(path_and_query: str) -> Callback:
    listener = LoopbackListener()
    visit = _Visit(listener.redirect_uri.removesuffix("/callback") + path_and_query)
    try:
        return listener.wait(5)
    finally:
        visit.join()
        assert b"code" not in visit.page
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", int(listener.redirect_uri.split(":")[2].split("/")[0])), 1)


def test_code_and_state_come_through() -> None:
    callback = _answer("/callback?code=aPrx%2B1&state=abc.def&sfdc=1")
    assert (callback.code.reveal(), callback.state) == ("aPrx+1", "abc.def")
    assert callback.parameters == {"sfdc": "1"}
    assert "aPrx" not in repr(callback)


@pytest.mark.parametrize(
    ("target", "kind", "code"),
    [
        ("/elsewhere?code=a&state=b", Misuse, "oauth_wrong_path"),
        ("/callback?state=b", Misuse, "oauth_incomplete"),
        ("/callback?code=a", Misuse, "oauth_incomplete"),
        ("/callback", Misuse, "oauth_incomplete"),
        ("/callback?error=access_denied&error_description=codeless&state=b", Reauthorize, "oauth_denied"),
    ],
)
def test_anything_else_is_one_sentence(target: str, kind: type[GtmcError], code: str) -> None:
    with pytest.raises(kind) as caught:
        _answer(target)
    assert caught.value.code == code
    assert caught.value.next_step


def test_what_the_vendor_says_is_not_echoed() -> None:
    with pytest.raises(Reauthorize) as caught:
        _answer("/callback?error=%3Cscript%3E&error_description=secret")
    assert "script" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_favicon_is_not_the_answer() -> None:
    listener = LoopbackListener()
    base = listener.redirect_uri.removesuffix("/callback")

    def visit() -> None:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(base + "/favicon.ico", timeout=5)
        caught.value.close()
        urllib.request.urlopen(base + "/callback?code=a&state=b", timeout=5).close()

    thread = threading.Thread(target=visit)
    thread.start()
    assert listener.wait(5).state == "b"
    thread.join()


def test_nobody_coming_is_said_so() -> None:
    with pytest.raises(Misuse) as caught:
        LoopbackListener().wait(0.05)
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
    listener = LoopbackListener()
    port = urlsplit(listener.redirect_uri).port
    host = f"[{address}]" if ":" in address else address
    visit = _Visit(f"http://{host}:{port}/callback?code=a&state=b")
    assert listener.wait(5).state == "b"
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
        assert [server.server_address[0] for server in servers] == ["127.0.0.1"]
    finally:
        for server in servers:
            server.server_close()
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
    listener = LoopbackListener()
    host, port = "127.0.0.1", int(listener.redirect_uri.split(":")[2].split("/")[0])
    with socket.create_connection((host, port)) as broken:
        broken.sendall(b"GET /callback?code=lost")
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
    visit = _Visit(listener.redirect_uri + "?code=a&state=b")
    assert listener.wait(5).code.reveal() == "a"
    visit.join()
    assert capfd.readouterr().err == ""
