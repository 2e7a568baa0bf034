"""One deadline per request outlasts nothing a vendor does; a closed session leaves no socket and no thread."""

from __future__ import annotations

import threading
import time

import pytest

from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Retry
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.hostile_vendor import DRIPS, FLOODS, HostileVendor, hostile

SECONDS = 0.25
IN_TIME = SECONDS + 2.0  # of a busy machine


def _fault(vendor: HostileVendor, url: str = "", **limits: float) -> tuple[Retry, float]:
    began = time.monotonic()
    with VendorSession("Acme", vendor.settings(**limits)) as session, pytest.raises(Retry) as caught:
        session.get(url or f"http://{vendor.host}/page")
    return caught.value, time.monotonic() - began


def _calling(session: VendorSession, vendor: HostileVendor, count: int, faults: list[Retry]) -> list[threading.Thread]:
    """Threads in the middle of a request each; `faults` is what they end with."""

    def call() -> None:
        with pytest.raises(Retry) as caught:
            session.get(f"http://{vendor.host}/page")
        faults.append(caught.value)

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    vendor.await_callers(count)
    return threads


@pytest.mark.parametrize("mode", DRIPS)
def test_no_answer_outlasts_the_deadline(mode: str) -> None:
    with hostile(mode) as vendor:
        fault, took = _fault(vendor, total_seconds=SECONDS)
        vendor.await_nobody(1.0)
    assert fault.code == "vendor_slow"
    assert SECONDS <= took < IN_TIME
    assert vendor.callers == 1, "it is not asked again at once"


@pytest.mark.parametrize("mode", FLOODS)
def test_no_answer_is_all_framing(mode: str) -> None:
    with hostile(mode) as vendor:
        fault, took = _fault(vendor, total_seconds=30.0)
    assert fault.code == "answer_never_ends"
    assert took < 10.0


def test_a_handshake_that_never_ends_counts() -> None:
    with hostile("silent") as vendor:
        fault, took = _fault(vendor, f"https://{vendor.host}/page", total_seconds=SECONDS)
    assert fault.code == "vendor_slow"
    assert took < IN_TIME


@pytest.mark.parametrize("mode", ["silent", "dripped status", "dripped headers"])
def test_a_tunnel_that_never_opens_counts(mode: str) -> None:
    with hostile(mode) as proxy:
        settings = ConnectorSettings(
            *("acme", "c-1"),
            sandbox_hosts=frozenset({"127.0.0.1:9"}),
            http_proxy=Secret(f"http://{proxy.host}"),
            http=HttpLimits(total_seconds=SECONDS, max_attempts=1),
        )
        began = time.monotonic()
        with VendorSession("Acme", settings) as session, pytest.raises(Retry):
            session.get("http://127.0.0.1:9/")
        assert time.monotonic() - began < IN_TIME
        proxy.await_nobody(1.0)


@pytest.mark.parametrize("mode", DRIPS)
def test_a_closed_session_leaves_nothing(mode: str) -> None:
    with hostile(mode) as vendor:
        faults: list[Retry] = []
        session = VendorSession("Acme", vendor.settings())
        threads = _calling(session, vendor, 3, faults)
        session.close()
        for thread in threads:
            thread.join(1.0)
        vendor.await_nobody(1.0)
    assert [fault.code for fault in faults] == ["session_closed"] * 3


def test_one_thread_watches_all_requests() -> None:
    with hostile("silent") as vendor:
        session = VendorSession("Acme", vendor.settings(total_seconds=30.0))
        threads = _calling(session, vendor, 8, [])
        watching = [each for each in threading.enumerate() if each.name == "http-deadlines"]
        session.close()
        for thread in threads:
            thread.join(5)
    assert len(watching) == 1


def test_only_salesforce_may_take_longer() -> None:
    limits = {kind: HttpLimits.of(kind).total_seconds for kind in ConnectorType}
    assert {kind for kind, seconds in limits.items() if seconds != 120.0} == {ConnectorType.SALESFORCE}
