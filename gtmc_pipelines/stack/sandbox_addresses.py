"""`<home>/sandbox-addresses.json`: every address this stack's own sandbox has had, by vendor.

Unlike `stack.json` it outlives the stack: connectors made before a restart may still name a former address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gtmc_pipelines.stack.state import write_json

Addresses = dict[str, list[dict[str, str]]]
"""Vendor to what it had, `http` and `https` each, the newest last."""


class SandboxAddresses:
    """The file of one home folder."""

    def __init__(self, home: Path) -> None:
        self.file = home / "sandbox-addresses.json"

    def remember(self, announcement: Mapping[str, Any]) -> None:
        """Put what a sandbox announced behind what is known; an address that comes again is the newest again."""
        known = self.known()
        for vendor, announced in announcement.get("vendors", {}).items():
            newest = {"http": announced["http"], "https": announced["https"]}
            known[vendor] = [former for former in known.get(vendor, []) if former != newest] + [newest]
        if known:
            write_json(self.file, known)

    def known(self) -> Addresses:
        """All of them; empty before the first sandbox of this home."""
        return dict(json.loads(self.file.read_text())) if self.file.exists() else {}

    @property
    def have_moved(self) -> bool:
        """Whether a vendor was ever anywhere else than now."""
        return any(len(addresses) > 1 for addresses in self.known().values())
