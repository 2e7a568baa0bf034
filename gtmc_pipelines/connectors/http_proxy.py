"""The HTTP proxy vendor calls go through, when the settings name one: a tunnel (CONNECT) to each host.

Who calls has checked the host's name and addresses before (host_guard). Behind the proxy the address dialled is the
proxy's choice, so a proxy must refuse private ranges itself. Its password is in no error and no text form.
"""

from __future__ import annotations

import base64
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from gtmc_pipelines.connectors.deadlines import create_connection
from gtmc_pipelines.connectors.retry import Transient
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.vault.secret import Secret

_MOST_HEAD_BYTES = 64 * 1024
_NEXT_STEP = "Check GTMC_HTTP_PROXY and what the proxy allows."


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """A proxy spoken to in plain HTTP; what goes through its tunnels is the vendor's TLS."""

    host: str
    port: int
    authorization: Secret | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: Secret | None) -> HttpProxy | None:
        """From `http://user:password@host:port`, whose form the settings have checked."""
        if url is None:
            return None
        parts = urlsplit(url.reveal())
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        basic = Secret(f"Basic {base64.b64encode(login.encode()).decode()}") if parts.username else None
        return cls(parts.hostname or "", parts.port or 80, basic)

    @property
    def place(self) -> str:
        """`host:port`, for messages."""
        return f"{self.host}:{self.port}"

    def tunnel(self, host: str, port: int, timeout: Any, options: Any = None) -> socket.socket:
        """A socket whose other end is `host:port`. Raises Transient (`proxy_unreachable`, `proxy_failed`), or Broken
        (`proxy_refused`) when the proxy won't.
        """
        try:
            opened = create_connection((self.host, self.port), timeout, socket_options=options)
        except OSError as error:
            what = f"The HTTP proxy {self.place} can't be reached ({type(error).__name__})."
            raise Transient("proxy_unreachable", what, next_step=_NEXT_STEP) from None
        try:
            status = self._connect(opened, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except OSError as error:
            opened.close()
            what = f"The HTTP proxy {self.place} broke off the tunnel to {host} ({type(error).__name__})."
            raise Transient("proxy_failed", what, next_step=_NEXT_STEP) from None
        if 200 <= status < 300:
            return opened
        opened.close()
        raise self._refusal(status, host)

    def _connect(self, opened: socket.socket, target: str) -> int:
        """Ask for the tunnel; gives the answer's status. Nothing behind the answer's head is read."""
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.authorization is not None:
            lines.append(f"Proxy-Authorization: {self.authorization.reveal()}")
        opened.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = opened.recv(1)  # what follows belongs to the vendor
            if not byte or len(head) > _MOST_HEAD_BYTES:
                raise ConnectionResetError
            head += byte
        words = head.split(b"\r\n", 1)[0].split()
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0

    def _refusal(self, status: int, host: str) -> Transient | Broken:
        if status == 407:
            what = f"The HTTP proxy {self.place} wants another user name or password (407)."
            return Broken("proxy_refused", what, next_step="Correct them in GTMC_HTTP_PROXY.")
        if status >= 500:
            what = f"The HTTP proxy {self.place} could not reach {host} ({status})."
            return Transient("proxy_failed", what, next_step=_NEXT_STEP)
        what = f"The HTTP proxy {self.place} refuses to connect to {host} ({status})."
        return Broken("proxy_refused", what, next_step=f"Let it allow {host}: the vendor's API is there.")


def proxy_secrets(url: Secret | None) -> list[str | Secret]:
    """What must never be seen of a proxy's URL: the whole of it, its password in both forms, and its header."""
    if url is None:
        return []
    password = urlsplit(url.reveal()).password or ""
    found: list[str | Secret] = [url, password, unquote(password)]
    proxy = HttpProxy.of(url)
    if proxy is not None and proxy.authorization is not None:
        found += [proxy.authorization, proxy.authorization.reveal().partition(" ")[2]]
    return found
