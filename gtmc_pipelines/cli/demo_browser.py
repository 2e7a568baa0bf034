"""Plays the person at the browser in the demo: opens the authorize URL and follows where it leads."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.settings import child_environment

_URL = re.compile(r"https?://\S+")


def open_like_a_person(url: str, ca_file: Path | None) -> None:
    """Request `url` and follow its redirects (to the loopback listener), trusting the sandbox's throw-away CA."""
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(url, timeout=30) as page:
        page.read()


def connect(tenant: str, connector: str, ca_file: Path | None, callback: str = "") -> str:
    """Run `gtmc connectors connect` in a process of its own and do the browser's part; gives what it printed.

    `callback` is a registered address that no other login waits on; empty: the one the settings name.
    Raises Broken with the command's own sentence when it fails.
    """
    command = [sys.executable, "-m", "gtmc_pipelines.cli.main", "connectors", "connect"]
    command += ["--tenant", tenant, "--connector", connector, "--no-browser", "--login-hint", tenant]
    own = {"SALESFORCE_CALLBACK_URL": callback, "O365_REDIRECT_URI": callback} if callback else {}
    environment = child_environment(own)
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            found = _URL.search(line)
            if found:
                open_like_a_person(found.group(0), ca_file)
                break
        out, err = process.communicate(timeout=60)
    if process.returncode != 0:
        raise Broken("connect_failed", f"Connecting {connector} for {tenant} failed: {err.strip()}")
    return "".join(printed) + out
