"""An account of the imitated Fathom, as tests drive it: connect, read, mutate, break."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.fathom.api import FathomSession
from gtmc_pipelines.connectors.fathom.streams import read_meetings
from gtmc_pipelines.connectors.login import HeldCredentials
from gtmc_pipelines.model.records import Page, ReadFrom
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.vendor_scene import VendorScene, full, records_of, whole

GENEROUS: dict[str, Any] = {"rate_limit": 10_000, "heavy_rate_limit": 10_000}


@dataclass
class Account(VendorScene):
    """One account; waits of its sessions are noted in `waits`, and waited only by one that `really_waits`."""

    base: str
    keys: dict[str, str]
    ca_file: str
    control: str
    name: str = "acme"
    waits: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, sandbox: dict[str, Any], scheme: str = "https", name: str = "acme") -> Account:
        vendor = sandbox["vendors"]["fathom"]
        return cls(vendor[scheme], vendor["credentials"]["orgs"][name], sandbox["ca_file"], vendor["http"], name)

    @property
    def api(self) -> str:
        return f"{self.base}/external/v1"

    def settings(self, **options: Any) -> ConnectorSettings:
        limits = HttpLimits(max_attempts=options.pop("max_attempts", 6))
        return ConnectorSettings(
            tenant_id=self.name,
            connector_id="c-1",
            options={"base_url": self.api, **GENEROUS, **options},
            sandbox_hosts=frozenset({urllib.parse.urlsplit(self.base).netloc}),
            ca_file=self.ca_file,
            http=limits,
        )

    def session(self, key: str = "", *, really_waits: bool = False, **options: Any) -> FathomSession:
        held = HeldCredentials({"api_key": Secret(key or self.keys["api_key"])})
        sleep: Callable[[float], Any] | None = None if really_waits else self.waits.append
        return FathomSession(held, self.settings(**options), sleep=sleep)

    def read(self, start: ReadFrom | None = None, **options: Any) -> list[Page]:
        """All pages; the last one is the only one without a checkpoint."""
        session = self.session(**options)
        try:
            return whole(read_meetings(session, start or full()))
        finally:
            session.close()

    def mutate(self, action: str, **wish: Any) -> list[str]:
        """Change meetings; gives their recording ids."""
        return self.change("meetings", action, **wish)

    def truth(self) -> dict[str, dict[str, Any]]:
        """Live meetings with everything, by recording id."""
        return {str(one["recording_id"]): one for one in self.live("meetings")}


def ago(**parts: float) -> str:
    """ISO time of a moment before now."""
    return (datetime.now(UTC) - timedelta(**parts)).isoformat()


def assert_is_truth(pages: Iterable[Page], truth: dict[str, dict[str, Any]]) -> None:
    """What was read is exactly the account's meetings, each once, field by field as far as it was asked for."""
    records = records_of(pages)
    assert sorted(record.external_id for record in records) == sorted(truth)
    for record in records:
        found, wanted = json.loads(record.payload), truth[record.external_id]
        assert found["transcript"] == wanted["transcript"]
        assert (found["default_summary"] or {}).get("markdown_formatted") == (wanted["default_summary"] or {}).get(
            "markdown_formatted"
        )
        names = found.keys() - {"action_items", "default_summary", "calendar_invitees"}
        assert {name: found[name] for name in names} == {name: wanted[name] for name in names}
