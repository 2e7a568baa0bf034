"""Customer.io's streams: which function reads each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gtmc_pipelines.connectors.customerio.api import CustomerioSession
from gtmc_pipelines.connectors.customerio.behavioral_events import read_behavioral_events
from gtmc_pipelines.connectors.customerio.email_events import read_email_events
from gtmc_pipelines.connectors.customerio.people import read_people
from gtmc_pipelines.model.records import Page, ReadFrom

READERS: Mapping[str, Callable[[CustomerioSession, ReadFrom], Iterator[Page]]] = {
    "people": read_people,
    "email_events": read_email_events,
    "behavioral_events": read_behavioral_events,
}


def read_stream(session: CustomerioSession, stream: str, start: ReadFrom) -> Iterator[Page]:
    """Pages of a stream; see the readers."""
    return READERS[stream](session, start)
