"""Transport adapters of a vendor session: public hosts are checked as they are dialled, sandbox hosts are exempt."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from gtmc_pipelines.connectors.connections import HeldConnection, HeldTlsConnection, dialled
from gtmc_pipelines.connectors.deadlines import create_connection
from gtmc_pipelines.connectors.host_guard import public_addresses, refused
from gtmc_pipelines.connectors.http_proxy import HttpProxy

POOL_SIZE = 10


class GuardedConnection(HeldTlsConnection):
    """Dials only addresses it has checked itself, so that no second look-up can lead elsewhere.

    With a proxy they are checked as well; then the proxy is asked for the host by its name.
    """

    proxy_of_ours: HttpProxy | None = None

    def _new_conn(self) -> socket.socket:
        try:
            addresses = public_addresses(self._dns_host, self.port or 443)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        if self.proxy_of_ours is not None:
            return self.proxy_of_ours.tunnel(self._dns_host, self.port or 443, self.timeout, self.socket_options)
        failure: OSError | None = None
        for address in addresses:
            try:
                return create_connection(
                    (address, self.port or 443), self.timeout, self.source_address, self.socket_options
                )
            except TimeoutError as error:
                raise ConnectTimeoutError(self, "the connection timed out") from error
            except OSError as error:
                failure = error
        raise NewConnectionError(self, "no address of the host answered") from failure


class GuardedAdapter(HTTPAdapter):
    """For every https host that is not a sandbox."""

    def __init__(self, proxy: HttpProxy | None = None) -> None:
        self._proxy = proxy
        super().__init__(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """A pool manager whose https connections are guarded."""
        manager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **pool_kwargs)
        connection = type("Connection", (GuardedConnection,), {"proxy_of_ours": self._proxy})
        pool = type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": connection})
        manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": pool}
        self.poolmanager = manager


class RefusingAdapter(HTTPAdapter):
    """For plain http anywhere but the sandbox: refuses before anything is sent."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Always raises Broken (`address_refused`)."""
        raise refused(urlsplit(request.url or "").hostname or "", "only https is allowed")


class SandboxAdapter(HTTPAdapter):
    """For one `host:port` of the sandbox: its own CA, and http in place of https where it serves that.

    simple-salesforce always builds https URLs, hence `is_plain`. A proxy is gone through here, too.
    """

    def __init__(self, ca_file: str | None, *, is_plain: bool = False, proxy: HttpProxy | None = None) -> None:
        self._ca_file = ca_file
        self._is_plain = is_plain
        self._proxy = proxy
        super().__init__(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """A pool manager whose connections are held by deadlines, and are tunnels if there is a proxy."""
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)

        def dial(connection: HTTPConnection) -> socket.socket:
            if self._proxy is None:
                return dialled(connection)
            port = connection.port or connection.default_port
            return self._proxy.tunnel(connection.host, port, connection.timeout, connection.socket_options)

        members = {"_new_conn": dial}
        plain = type("Connection", (HeldConnection,), members)
        over_tls = type("Connection", (HeldTlsConnection,), members)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": over_tls}),
        }

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send with the sandbox's CA."""
        if self._is_plain and request.url:
            request = request.copy()
            request.url = "http://" + (request.url or "").partition("://")[2]
        kwargs["verify"] = self._ca_file or True
        return super().send(request, *args, **kwargs)
