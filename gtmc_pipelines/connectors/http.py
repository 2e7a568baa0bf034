"""The HTTP session every connector uses: bounded in time and size, guarded against SSRF, patient with vendors.

Rules: https to public addresses only (host_guard), no redirects, nothing from the environment, every
call timed out, every body capped, transient answers retried with back-off and `Retry-After` obeyed.
Errors name method, host and path: never a query string, a header or a body.
"""

from __future__ import annotations

import ssl
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from gtmc_pipelines.connectors.adapters import GuardedAdapter, RefusingAdapter, SandboxAdapter
from gtmc_pipelines.connectors.bodies import ACCEPTED, BodyTooLarge, BodyUnreadable, read_body
from gtmc_pipelines.connectors.bytes_in_hand import HAND, GaveWay, Handful
from gtmc_pipelines.connectors.connections import FramingTooLarge
from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.deadlines import Deadline, cut_requests_of, within
from gtmc_pipelines.connectors.host_guard import checked_url
from gtmc_pipelines.connectors.http_proxy import HttpProxy
from gtmc_pipelines.connectors.retry import Transient, backoff, is_transient_status, retry_after_seconds
from gtmc_pipelines.connectors.vendor_numbers import LONGEST_WAIT_SECONDS
from gtmc_pipelines.model.errors import Broken, Defer, Retry, SyncFault

DEFERRED_FROM_SECONDS = 2 * 3600.0
"""A longer wish to wait ends the sync as deferred, for everybody to see; at most a day is believed."""

_LATER = "It is tried again later."
_MINUTE = "%Y-%m-%d %H:%M"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FAULTS_OF_THE_WAY = (
    *(requests.RequestException, urllib3.exceptions.HTTPError, OSError),
    *(GaveWay, FramingTooLarge, BodyTooLarge, BodyUnreadable),
)

Clock = Callable[[], datetime]
Sleep = Callable[[float], Any]


def utc_now() -> datetime:
    """The clock used unless a test gives another."""
    return datetime.now(UTC)


_open: weakref.WeakSet[VendorSession] = weakref.WeakSet()
_opening = threading.Lock()


class VendorSession(requests.Session):
    """A `requests.Session` for one vendor on behalf of one tenant.

    Use `get`, `post` and `request` as usual; answers come back whole and uninterpreted unless they
    are transient. Raises Retry when the attempts (or the vendor's patience) are used up, Broken for a
    redirect, a refused address, a bad certificate or an oversized body.
    """

    def __init__(
        self, vendor: str, settings: ConnectorSettings, *, clock: Clock = utc_now, sleep: Sleep | None = None
    ) -> None:
        super().__init__()
        self.vendor = vendor
        self.trust_env = False
        self.gauges: dict[str, int] = {}
        self.requests = 0
        self.clock = clock
        self._settings = settings
        self.progressed_at = 0.0
        self._closed = threading.Event()
        self._opened_by = threading.current_thread()
        with _opening:
            _open.add(self)
        self._running: set[Deadline] = set()
        self._handfuls: dict[int, Handful] = {}
        self.headers["Accept-Encoding"] = ACCEPTED
        self._sleep: Sleep = sleep or self._closed.wait
        self._proxy = proxy = HttpProxy.of(settings.http_proxy)
        self.mount("https://", GuardedAdapter(proxy))
        self.mount("http://", RefusingAdapter())
        for host in settings.sandbox_hosts:
            self.mount(f"https://{host.lower()}/", SandboxAdapter(settings.ca_file, proxy=proxy))
            self.mount(f"http://{host.lower()}/", SandboxAdapter(settings.ca_file, proxy=proxy))

    @property
    def limits(self) -> HttpLimits:
        """Bounds of every call."""
        return self._settings.http

    @property
    def usage(self) -> dict[str, int]:
        """Requests sent so far (attempts, not calls) and the gauges the vendor reported."""
        return {"requests": self.requests, **self.gauges}

    def serve_plainly(self, host_port: str) -> None:
        """Send https URLs of this sandbox `host:port` over plain http. Raises Broken for any other host."""
        checked_url(f"http://{host_port}/", self._settings.sandbox_hosts)
        self.mount(
            f"https://{host_port.lower()}/", SandboxAdapter(self._settings.ca_file, is_plain=True, proxy=self._proxy)
        )

    def is_transient(self, response: requests.Response) -> bool:
        """Whether this answer is worth another attempt; vendors with a say of their own override it."""
        return is_transient_status(response.status_code)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: no redirect is followed, so none is read. Requests itself raises at a Location that is no UTF-8."""
        return None

    def before_attempt(self, request: requests.PreparedRequest) -> None:
        """Called before every attempt, further ones included: the place to keep a vendor's pace."""

    def wish_of(self, response: requests.Response) -> float | None:
        """Seconds the vendor asks us to wait after a transient answer; None when it doesn't say."""
        return retry_after_seconds(response.headers.get("Retry-After"), self.clock())

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send until there is an answer that isn't transient; its body has been read."""
        checked_url(request.url or "", self._settings.sandbox_hosts)
        if self._settings.destinations is not None:
            self._settings.destinations.check(request.url or "")
        attempts = Retrying(
            stop=stop_after_attempt(self.limits.max_attempts),
            wait=backoff(),
            retry=retry_if_exception_type(Transient),
            sleep=self.pause,
            reraise=True,
        )
        return attempts(self._attempt, request, kwargs)

    def close(self) -> None:
        """Cut what is under way, close connections, end any waiting; later calls raise Retry (`session_closed`)."""
        self._closed.set()
        for deadline in list(self._running):
            deadline.cut()
        self._handfuls.clear()
        for adapter in self.adapters.values():
            if isinstance(adapter, requests.adapters.HTTPAdapter):
                pools = adapter.poolmanager.pools  # urllib3 leaves open what a fault's traceback still refers to
                for key in pools.keys():  # noqa: SIM118 - it can't be iterated over otherwise
                    pools[key].close()
        super().close()

    def note_progress(self) -> None:
        """The vendor works on something for us and says so, though no page has come of it yet."""
        self.progressed_at = time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait, unless the session is closed meanwhile: then Retry (`session_closed`)."""
        self._sleep(seconds)
        if self._closed.is_set():
            raise self._closed_fault()

    def wait_as_asked(self, seconds: float) -> None:
        """Wait because the vendor has asked for it. Raises Retry, with the wish, when it is longer than we wait."""
        if seconds > self.limits.max_wait_seconds:
            sentence = f"{self.vendor} has asked to be left alone for another {seconds:.0f} seconds."
            raise Retry("vendor_throttled", sentence, next_step=_LATER, after_seconds=seconds)
        self.pause(seconds)

    def stand_by(self, seconds: float) -> None:
        """Wait as `pause` does, and really, also where a test only notes the waits: for a pace's turns."""
        if self._closed.wait(seconds):
            raise self._closed_fault()

    def _closed_fault(self) -> Retry:
        return Retry("session_closed", f"The session with {self.vendor} was closed while it waited.")

    def _attempt(self, request: requests.PreparedRequest, kwargs: dict[str, Any]) -> requests.Response:
        self.before_attempt(request)
        self.requests += 1
        call = _name_of(request)
        response = self._answer_in_time(request, kwargs, call)
        if response.status_code in _REDIRECTS:
            raise Broken(
                "redirect_refused",
                f"{self.vendor} answered {call} with a redirect, which is never followed.",
                next_step="Check the base URL of the connector.",
            )
        if self.is_transient(response):
            raise self._transient(response, call)
        return response

    def _answer_in_time(
        self, request: requests.PreparedRequest, kwargs: dict[str, Any], call: str
    ) -> requests.Response:
        """The answer with its body, within the one deadline of the request. Raises by whose turn it is."""
        deadline, handful = Deadline(self.limits.total_seconds), self._handful()
        options = {**kwargs, "stream": True, "allow_redirects": False}
        options["timeout"] = (self.limits.connect_seconds, self.limits.total_seconds)
        self._running.add(deadline)
        try:
            if self._closed.is_set():
                raise self._closed_fault()
            handful.begin(deadline)
            with within(deadline):
                response = super().send(request, **options)
                self._read_body(response, call)
            if deadline.is_cut:
                raise ConnectionAbortedError  # to some answers our own cut looks like their end
            handful.is_whole()
            return response
        except _FAULTS_OF_THE_WAY as error:
            fault = self._fault_of(error, call, deadline, handful)
        finally:
            self._running.discard(deadline)
            if handful.deadline is not None:
                handful.drop()
        raise fault  # out here it has no context: requests' own words hold the whole address

    def _fault_of(self, error: Exception, call: str, deadline: Deadline, handful: Handful) -> SyncFault:
        """What kept an answer from coming, or from coming whole."""
        if self._closed.is_set():
            return self._closed_fault()
        if isinstance(error, GaveWay) or handful.gives_way:
            what = (
                f"{self.vendor}'s answer to {call} is so large that this worker had no room for it beside the others."
            )
            return Retry("worker_full", what, next_step="It is tried again later; smaller pages help.")
        if isinstance(error, FramingTooLarge):
            what = f"{self.vendor}'s answer to {call} has more headers, or more around its body, than any answer needs."
            return Retry("answer_never_ends", what, next_step=f"{_LATER} If it stays, report it to the vendor.")
        if isinstance(error, BodyTooLarge):
            what = f"{self.vendor}'s answer to {call} is larger than {error}."
            return Broken("body_too_large", what, next_step="Ask for smaller pages.")
        if deadline.is_over:  # not tried again at once: one that was silent for so long would only be silent again
            what = f"{self.vendor} had not answered {call} in full within {self.limits.total_seconds:.0f} seconds."
            return Retry("vendor_slow", what, next_step=_LATER)
        return self._connection_fault(error, call)

    def _read_body(self, response: requests.Response, call: str) -> None:
        """Read the body into the response, stopping at the cap on bytes (unpacked)."""
        try:
            body = read_body(response, self.limits.max_body_bytes, self._handful())
        except BaseException:
            response.close()
            raise
        response._content = body  # what Response.content would do, without the caps
        response._content_consumed = True  # type: ignore[attr-defined]
        response.raw.release_conn()

    def _handful(self) -> Handful:
        """What this thread holds of answers."""
        return self._handfuls.setdefault(threading.get_ident(), HAND.handful())

    def _transient(self, response: requests.Response, call: str) -> Retry | Defer:
        wish = self.wish_of(response)
        code = "vendor_throttled" if response.status_code in {420, 429} else "vendor_unavailable"
        sentence = f"{self.vendor} answered {call} with status {response.status_code}."
        if wish is not None and wish > DEFERRED_FROM_SECONDS:
            until = self.clock() + timedelta(seconds=min(wish, LONGEST_WAIT_SECONDS))
            return Defer(
                code, sentence, until=until, next_step=f"The sync goes on by itself after {until:{_MINUTE}} UTC."
            )
        if wish is not None and wish > self.limits.max_wait_seconds:
            return Retry(code, sentence, next_step=f"It asks to wait {wish:.0f} seconds.", after_seconds=wish)
        return Transient(code, sentence, next_step=_LATER, after_seconds=wish)

    def _connection_fault(self, error: Exception, call: str) -> Retry | Broken:
        if "CERTIFICATE_VERIFY_FAILED" in str(error) or isinstance(error, ssl.SSLCertVerificationError):
            return Broken(
                "certificate_refused",
                f"The certificate of {call.partition(' ')[2].partition('/')[0]} could not be verified.",
                next_step="Check the base URL; for the sandbox set GTMC_CA_FILE.",
            )
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
            return Broken("bad_request", f"The request {call} could not be built.")
        what = "timed out" if "time" in type(error).__name__.lower() else "was cut or could not be made"
        return Transient("vendor_unreachable", f"The connection to {self.vendor} for {call} {what}.")


def close_sessions_of(thread: threading.Thread) -> None:
    """Close all sessions a thread has opened, and cut short whatever request it is in the middle of."""
    with _opening:
        opened = [session for session in _open if session._opened_by is thread]
    for session in opened:
        session.close()
    cut_requests_of(thread)


def _name_of(request: requests.PreparedRequest) -> str:
    """`GET host/path` of a request: all that an error may say about it."""
    parts = urlsplit(request.url or "")
    return f"{request.method} {parts.hostname}{parts.path}"
