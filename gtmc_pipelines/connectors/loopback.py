"""The loopback end of an OAuth login: a listener on this machine that takes the vendor's answer (RFC 8252).

Any program or web page on this machine can knock here. What counts is a GET of the registered path, at the registered
host, with the state that was issued; everything else gets 404 and the login goes on waiting (`callback_requests`).

Vendors accept plain http for the word `localhost` alone (Salesforce: "Cannot be an HTTP URL"; Microsoft Entra has the
same rule), and a browser resolves that word to 127.0.0.1 or to ::1 as it likes. So the listener takes both, or
neither: on one of them alone the code could be delivered to whoever has the other.
"""

from __future__ import annotations

import errno
import hmac
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import SplitResult, parse_qs, urlsplit

from gtmc_pipelines.connectors.callback_requests import Visit, visits
from gtmc_pipelines.model.errors import Misuse, Reauthorize
from gtmc_pipelines.vault.secret import Secret

WAIT_SECONDS = 120.0
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")
_ADDRESSES = {"localhost": ("127.0.0.1", "::1"), "127.0.0.1": ("127.0.0.1",), "::1": ("::1",)}
_ABSENT = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})
_MOST_PARAMETERS = 40
_BACKLOG = 128
_ATTEMPTS = 20  # to find a port that is free on both addresses
_START_AGAIN = "Start again with `gtmc connectors connect`."


@dataclass(frozen=True, slots=True)
class Callback:
    """What the login page sent back. `code` is empty where the answer is a consent, told in `parameters`."""

    code: Secret
    state: str
    parameters: dict[str, str] = field(default_factory=dict, repr=False)


class LoopbackListener:
    """Listens from construction on; `redirect_uri` is what to register and to send to the vendor.

    `callback_url` (set by `variable`) is used as it is, since vendors want an exact match; port 0 takes any free one.
    `localhost` is 127.0.0.1 and ::1. An address this machine doesn't have is left out, so a machine without IPv6
    listens on 127.0.0.1 alone: nobody else can be on the other one. Raises Misuse when the URL isn't on this machine,
    or when its port is taken on one of the two: the sentence says on which.
    """

    def __init__(
        self, callback_url: str = "http://localhost:0/callback", variable: str = "SALESFORCE_CALLBACK_URL"
    ) -> None:
        parts, port = _parted(callback_url, variable)
        host = parts.hostname or ""
        if parts.scheme != "http" or host not in _ADDRESSES:
            raise Misuse(
                "callback_not_local",
                "The callback URL doesn't lead to this machine, so the login's answer can't be received here.",
                next_step=f"Set {variable} to {_FORM} and register the same.",
            )
        self._path = parts.path or "/"
        self._sockets = listening(_ADDRESSES[host], port, variable)
        taken = self._sockets[0].getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self._hosts = {f"{shown}:{taken}", *((shown,) if taken == 80 else ())}
        self.redirect_uri = callback_url if port else f"http://{shown}:{taken}{self._path}"
        self._visit: Visit | None = None

    def wait(self, state: str, seconds: float = WAIT_SECONDS) -> Callback:
        """What came back with `state`, whoever else calls meanwhile. The browser is answered by `lead_on` or `close`.

        Raises Misuse for missing parameters or no answer in time (`oauth_no_answer`), and Reauthorize when the user or
        the vendor said no.
        """
        self._dismiss()
        with closing(visits(self._sockets, time.monotonic() + seconds)) as arriving:
            for visit in arriving:
                values = self._answer_in(visit, state)
                if values is not None:
                    self._visit = visit
                    return callback_of(values)
                visit.refuse()
        raise Misuse(
            "oauth_no_answer", f"No answer came from the login page in {seconds:.0f} s.", next_step=_START_AGAIN
        )

    def lead_on(self, url: str) -> None:
        """Send the browser that is waiting for its page on to the next step of the login."""
        visit, self._visit = self._visit, None
        if visit is not None:
            visit.redirect(url)

    def close(self) -> None:
        """Tell the browser that it is done, and stop listening."""
        self._dismiss()
        for each in self._sockets:
            each.close()

    def __enter__(self) -> LoopbackListener:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _dismiss(self) -> None:
        visit, self._visit = self._visit, None
        if visit is not None:
            visit.finish()

    def _answer_in(self, visit: Visit, state: str) -> dict[str, str] | None:
        """The parameters of a visit that answers this login; None for any other. Repeated ones answer nothing."""
        path, _, query = visit.target.partition("?")
        if visit.method != "GET" or path != self._path or visit.host.lower() not in self._hosts:
            return None
        try:
            found = parse_qs(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            return None
        values = {name: each[0] for name, each in found.items() if len(each) == 1}
        is_issued = hmac.compare_digest(values.get("state", "").encode(), state.encode())
        return values if is_issued and len(values) == len(found) else None


def listening(addresses: Sequence[str], port: int, variable: str) -> list[socket.socket]:
    """A listening socket on each of these addresses that this machine has, all on one port; 0 is any free on all.

    Raises Misuse `callback_port_taken` otherwise, and leaves nothing open.
    """
    for attempt in range(1 if port else _ATTEMPTS):
        sockets: list[socket.socket] = []
        try:
            for address in addresses:
                wanted = sockets[0].getsockname()[1] if sockets else port
                if (opened := _listening_on(address, wanted)) is not None:
                    sockets.append(opened)
        except OSError as error:
            for each in sockets:
                each.close()
            if port or attempt == _ATTEMPTS - 1:
                raise _taken(wanted, address, error, variable) from None
            continue
        if sockets:
            return sockets
    raise Misuse(
        "no_loopback_address",
        f"This machine has none of {', '.join(addresses)}, so the login's answer can't be received here.",
        next_step="Connect on another machine, or switch its loopback interface on.",
    )


def _listening_on(address: str, port: int) -> socket.socket | None:
    """A socket there; None when this machine has no such address. Raises OSError when the port can't be had."""
    try:
        opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    try:
        if os.name == "posix":  # elsewhere that would share the port with a stranger
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if opened.family is socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, port))
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        if error.errno in _ABSENT:
            return None
        raise
    return opened


def _taken(port: int, address: str, error: OSError, variable: str) -> Misuse:
    if error.errno != errno.EADDRINUSE:
        return Misuse(
            "callback_port_taken",
            f"Port {port} of the callback URL can't be used on {address}: {error.strerror}.",
            next_step=f"Register another port and set {variable} to it.",
        )
    return Misuse(
        "callback_port_taken",
        f"Port {port} of the callback URL is taken on {address}: another program listens there.",
        next_step=f"Wait for another login to end, or find the program (`lsof -nP -i :{port}`) and stop it; "
        f"or register another port and set {variable} to it.",
    )


_FORM = "http://localhost:<port>/<path>"


def _parted(callback_url: str, variable: str) -> tuple[SplitResult, int]:
    """A callback URL's parts and its port: 80 when it names none, 0 for any free one."""
    try:
        parts = urlsplit(callback_url)
        return parts, 80 if parts.port is None else parts.port
    except ValueError:
        raise Misuse(
            "callback_malformed",
            "The callback URL can't be parsed.",
            next_step=f"Set {variable} to {_FORM} and register the same.",
        ) from None


def callback_of(values: Mapping[str, str]) -> Callback:
    """What the parameters of an answer say. Raises as `wait` does."""
    if "error" in values:
        code = values["error"] if _ERROR_CODE.fullmatch(values["error"]) else "unknown"
        raise Reauthorize("oauth_denied", f"The login was not granted ({code}).", next_step=_START_AGAIN)
    if not (values.get("code") or values.get("admin_consent")):
        raise Misuse("oauth_incomplete", "The login page's answer carries no code.", next_step=_START_AGAIN)
    rest = {name: value for name, value in values.items() if name not in {"code", "state"}}
    return Callback(Secret(values.get("code", "")), values.get("state", ""), rest)
