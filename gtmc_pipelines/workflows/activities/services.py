"""What every activity is given: settings, database, keys, and a way to ask whether a workflow still runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from temporalio.exceptions import FailureError

from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.leases import Held
from gtmc_pipelines.storage.outages import outage_in
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines.vault.redaction import Redactor
from gtmc_pipelines.workflows.faults import failure_of, unexpected


@dataclass(frozen=True, slots=True)
class Services:
    """Shared by all activities of a worker; every part is safe to use from several threads."""

    settings: Settings
    database: Database
    key_ring: KeyRing
    is_running: Callable[[Held], bool]
    redactor: Redactor = field(default_factory=Redactor)


@contextmanager
def faults_told(where: str) -> Iterator[None]:
    """Turn whatever an activity raises into a failure that may be kept in a history. Cancels pass as they are."""
    try:
        yield
    except FailureError:
        raise
    except GtmcError as error:
        raise failure_of(error) from None
    except Exception as error:  # noqa: BLE001 - an outage is retried; anything else is logged and named by its class
        raise failure_of(outage_in(error) or unexpected(error, where)) from None
