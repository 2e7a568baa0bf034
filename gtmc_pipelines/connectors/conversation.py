"""What the sessions of all vendors have in common: settings, the HTTP session under them, usage and an end."""

from __future__ import annotations

from typing import Generic, TypeVar

from gtmc_pipelines.connectors.contract import ConnectorSettings
from gtmc_pipelines.connectors.http import VendorSession

_Http = TypeVar("_Http", bound=VendorSession)


class Conversation(Generic[_Http]):
    """An authenticated conversation with one vendor on behalf of one tenant (`contract.Session`)."""

    def __init__(self, settings: ConnectorSettings, http: _Http) -> None:
        self.settings = settings
        self.http = http

    @property
    def usage(self) -> dict[str, int]:
        """Requests made, and the gauges the vendor reported."""
        return self.http.usage

    @property
    def progressed_at(self) -> float:
        """The moment (time.monotonic) of the last `note_progress`."""
        return self.http.progressed_at

    def close(self) -> None:
        """Close connections and end any waiting."""
        self.http.close()
