"""`<home>/stack.json`: what a running stack tells other terminals. No secret stands in it; mode 0600 all the same."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import psutil

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import running_stack


class StackState:
    """The file of one home folder."""

    def __init__(self, home: Path) -> None:
        self.file = home / "stack.json"
        self._secrets_file = home / "stack-secrets.json"

    def refuse_a_second(self) -> None:
        """Raise Misuse, with the addresses, when a stack already runs on this home."""
        running = running_stack(self.file.parent)
        if running is None:
            return
        addresses = ", ".join(f"{name} {address}" for name, address in running.get("addresses", {}).items())
        raise Misuse(
            "stack_running",
            f"A stack already runs on {self.file.parent} (process {running['pid']}): {addresses}.",
            next_step="Use it, stop it with Ctrl-C in its terminal, or set GTMC_HOME to another folder.",
        )

    def write(
        self, environment: Mapping[str, str], addresses: Mapping[str, str], encryption_key_file: Path | None
    ) -> None:
        """Replace the file in one step; client secrets go into a file of their own."""
        secrets = {name: value for name, value in environment.items() if name.endswith("_SECRET")}
        write_json(self._secrets_file, secrets)
        content = {
            "pid": os.getpid(),
            "pid_started": psutil.Process().create_time(),
            "environment": {name: value for name, value in environment.items() if name not in secrets},
            "addresses": dict(addresses),
            "encryption_key_file": str(encryption_key_file) if encryption_key_file else None,
            "secrets_file": str(self._secrets_file),
        }
        write_json(self.file, content)

    def remove(self) -> None:
        """Forget the stack, if it is ours."""
        running = running_stack(self.file.parent)
        if running is None or running["pid"] == os.getpid():
            self.file.unlink(missing_ok=True)
            self._secrets_file.unlink(missing_ok=True)


def write_json(file: Path, content: Mapping[str, object]) -> None:
    """Replace a file in one step; nobody but its owner reads it."""
    unfinished = file.with_suffix(".new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    unfinished.replace(file)
