"""Faults on their way through Temporal: one tree outside, one failure shape inside.

An ApplicationError carries the leaf's name as its type, sentence and next step as its message, and
a FaultNote as its details. Nothing of an exception that isn't ours gets into a history: only its
class name does; the original goes to the worker's redacted log.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from temporalio.exceptions import ApplicationError

from gtmc_pipelines.connectors.vendor_numbers import LONGEST_WAIT_SECONDS
from gtmc_pipelines.model.errors import Broken, Defer, GtmcError, Misuse, Reauthorize, Reject, Retry, Unserved
from gtmc_pipelines.workflows.inputs import FaultNote

_log = logging.getLogger(__name__)
_LEAVES = (Retry, Defer, Reauthorize, Reject, Unserved, Broken, Misuse)  # rooms may refine them; books know only these


def note_of(error: GtmcError) -> FaultNote:
    """The fault without its Python object. Secrets and payloads are never in one (model.errors)."""
    until = error.until if isinstance(error, Defer) else None
    leaf = next((each for each in _LEAVES if isinstance(error, each)), type(error))
    return FaultNote(leaf.__name__, error.code, error.sentence, error.next_step, until)


def unexpected(error: BaseException, where: str) -> Broken:
    """Wrap an exception outside our tree; the original is logged here, and nowhere else."""
    _log.error("unexpected %s in %s", type(error).__name__, where, exc_info=error)
    return Broken(
        "unexpected",
        f"The sync met an unexpected {type(error).__name__} in {where}.",
        next_step="This is a bug: the worker's log has the details.",
    )


def failure_of(error: GtmcError) -> ApplicationError:
    """The failure an activity raises for `error`: only Retry is tried again, after the vendor's own wish."""
    note = note_of(error)
    after = error.after_seconds if isinstance(error, Retry) else None
    return ApplicationError(
        note.text,
        note,
        type=note.leaf,
        non_retryable=not isinstance(error, Retry),
        next_retry_delay=None if after is None else timedelta(seconds=min(after, LONGEST_WAIT_SECONDS)),
    )
