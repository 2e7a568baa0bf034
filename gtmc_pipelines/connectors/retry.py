"""When and how long to wait before a vendor call is made again: back-off, and the vendor's own wish first."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime

import requests
from tenacity import RetryCallState

from gtmc_pipelines.connectors.vendor_numbers import wait_seconds
from gtmc_pipelines.model.errors import Retry

FIRST_WAIT_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0

_TRANSIENT = frozenset({408, 420, 425, 429})


class Transient(Retry):
    """An attempt that failed in a way another attempt may not. Out of attempts, it is raised as it is."""


def is_transient_status(status: int) -> bool:
    """True for answers that are worth another attempt with any vendor: 408, 420, 425, 429 and 5xx but 501."""
    return status in _TRANSIENT or (status >= 500 and status != 501)


def is_maintenance_page(response: requests.Response) -> bool:
    """True for HTML with status 200 in place of JSON, which some vendors answer while they are down."""
    return response.status_code == 200 and response.headers.get("Content-Type", "").startswith("text/html")


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` header (RFC 9110), at most a day; None when unusable."""
    return wait_seconds(header, now)


def backoff(draw: Callable[[float, float], float] = random.uniform) -> Callable[[RetryCallState], float]:
    """A tenacity wait: doubling from half a second with jitter, or the vendor's wish plus the jitter."""

    def wait(state: RetryCallState) -> float:
        ceiling = min(LONGEST_BACKOFF_SECONDS, FIRST_WAIT_SECONDS * 2 ** (state.attempt_number - 1))
        error = state.outcome.exception() if state.outcome else None
        wish = error.after_seconds if isinstance(error, Retry) else None
        if wish is not None:
            return wish + draw(0.0, min(0.5, ceiling))
        return draw(ceiling / 2, ceiling)

    return wait
