"""What happens before the canaries are looked for: five vendors connected, synced, spoilt, rotated, run by Dagster."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.sandbox.o365.tokens import Tokens
from gtmc_pipelines.vault.keyring import KeyRing, SealContext, generate_key_hex
from gtmc_pipelines.workflows.inputs import SyncOutcome
from gtmc_pipelines_tests.defs.reading import sentence
from gtmc_pipelines_tests.defs.sensing import sense
from gtmc_pipelines_tests.house.rules import ROOT
from gtmc_pipelines_tests.journeys.canaries import Place, files, tables
from gtmc_pipelines_tests.journeys.canary_people import People, seen_at
from gtmc_pipelines_tests.journeys.canary_scene import ORG, PASSWORD, TENANT, Scene, here, opened

SALESFORCE, CUSTOMERIO, DELIVRAI = ConnectorType.SALESFORCE, ConnectorType.CUSTOMERIO, ConnectorType.DELIVRAI
O365, FATHOM = ConnectorType.O365, ConnectorType.FATHOM
BY_KEY = {CUSTOMERIO: ("api_key",), DELIVRAI: ("api_key", "api_secret"), FATHOM: ("api_key",)}
OPTIONS = {
    CUSTOMERIO: ("requests_per_second=1000",),
    DELIVRAI: ("profile=public", "topic_id=4eyes_112", "requests_per_second=1000"),
    FATHOM: (),
}
WEBHOOK_SECRET, WRONG_KEY = "B0canary7c1eWebhook", "canary-7c1e-that-never-was-a-key"
_O365_TOKENS = 40

_BUSY: dict[str, Any] = {"fault": "echo", "status": 503, "count": 1}
_IN_PASSING: Mapping[ConnectorType, list[dict[str, Any]]] = {
    SALESFORCE: [
        {"fault": "expired_session", "count": 1},
        {"fault": "record_without_id", "count": 1, "path": "query"},
        {**_BUSY, "path": "query", "words": [{"errorCode": "SERVER_UNAVAILABLE", "message": "{echo}"}]},
    ],
    CUSTOMERIO: [
        {"fault": "record_without_id", "count": 1, "path": "messages"},
        {**_BUSY, "words": {"errors": [{"detail": "{echo}", "status": "503"}]}},
    ],
    DELIVRAI: [{"fault": "record_without_id", "count": 1}, {**_BUSY, "words": {"error": "{echo}"}}],
    O365: [
        {"fault": "expired_token", "count": 1},
        {"fault": "record_without_id", "count": 1},
        {**_BUSY, "path": "messages", "words": {"error": {"code": "serviceNotAvailable", "message": "{echo}"}}},
    ],
    FATHOM: [{"fault": "record_without_id", "count": 1}, _BUSY],
}
"""Trouble that a sync gets over."""

_SPOILING: Mapping[ConnectorType, list[dict[str, Any]]] = {
    SALESFORCE: [{"fault": "malformed_page", "path": "query"}],
    CUSTOMERIO: [{"fault": "malformed_page"}],
    DELIVRAI: [{"fault": "malformed_page"}],
    O365: [{"fault": "leak_body", "fields": ["subject", "bodyPreview", "body", "attachments"]}],
    FATHOM: [{"fault": "malformed_page"}],
}
"""Pages that can't be used."""

_REFUSING: Mapping[ConnectorType, list[dict[str, Any]]] = {
    SALESFORCE: [
        {"fault": "expired_session"},
        {
            "fault": "echo",
            "status": 400,
            "path": "oauth2/",
            "words": {"error": "invalid_grant", "error_description": "expired: {echo}"},
        },
    ],
    CUSTOMERIO: [{"fault": "echo", "words": {"errors": [{"detail": "{echo}", "status": "401"}]}}],
    DELIVRAI: [{"fault": "echo", "status": 403, "words": {"error": "{echo}"}}],
    O365: [
        {"fault": "expired_token"},
        {
            "fault": "echo",
            "path": "/token",
            "after": 1,
            "words": {
                "error": "invalid_client",
                "error_codes": [7000215],
                "error_description": "AADSTS7000215: Invalid client secret provided: {echo}",
            },
        },
    ],
    FATHOM: [{"fault": "echo", "words": {"error": "{echo}"}}],
}
"""Credentials refused in words that hold them."""


@dataclass
class Story:
    """How it went, what to look for, and every place to look at.

    `runs` are Dagster's by whether they succeeded, `audited` what was done and by which kind of actor.
    """

    first: dict[ConnectorType, SyncOutcome] = field(default_factory=dict)
    spoilt: dict[ConnectorType, SyncOutcome] = field(default_factory=dict)
    runs: dict[bool, set[ConnectorType]] = field(default_factory=lambda: {True: set(), False: set()})
    audited: set[tuple[str, str]] = field(default_factory=set)
    unstruck: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    people: People | None = None


def told(folder: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Let it all happen, and collect what is left behind while the servers still run."""
    story, old, new = Story(), generate_key_hex(), generate_key_hex()
    with _own_log() as log, opened(folder, postgres_url, monkeypatch) as scene:
        scene.set(CONNECTOR_ENCRYPTION_KEY=new, CONNECTOR_ENCRYPTION_KEYS_RETIRED=old)
        with scene.worker():
            scene.set(CONNECTOR_ENCRYPTION_KEY=old)
            _connected(scene, folder / "vendors")
            scene.note_secrets("first", old)
            story.first = _under(scene, story, _IN_PASSING, lambda: scene.syncs("--full"))
            scene.note_secrets("renewed", new, old)
            story.spoilt = _under(scene, story, _SPOILING, lambda: scene.syncs("--full"))
            erased = _erased(scene)
            scene.set(CONNECTOR_ENCRYPTION_KEY=new)
            scene.gtmc("keys", "rotate")
            monkeypatch.delenv("CONNECTOR_ENCRYPTION_KEYS_RETIRED")
            _dagster(scene, story)
        story.people = seen_at(scene.sites, erased)
        story.secrets = scene.secrets | _configured(scene, old, new)
        story.places = [*files(scene.home), *scene.said, ("this process's log", log.getvalue().encode())]
        for url in scene.urls:
            story.places += tables(url)
    return story


@contextmanager
def _own_log() -> Iterator[io.StringIO]:
    """Everything logged in this process, at DEBUG and redacted by nobody."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def _connected(scene: Scene, outside: Path) -> None:
    """All five, as an administrator does it; one key is refused first."""
    scene.gtmc("tenants", "add", TENANT)
    org = scene.sites[O365].credentials["orgs"][ORG]
    scene.gtmc("o365", "accept-dpa", "--tenant", TENANT)
    scene.gtmc("o365", "domains", "add", "--tenant", TENANT, "--own", org["domain"], *org["allowed_domains"])
    for kind, names in BY_KEY.items():
        add = ("connectors", "add", "--tenant", TENANT, "--type", kind.value)
        add += tuple(part for option in OPTIONS[kind] for part in ("--option", option))
        keys, file = scene.sites[kind].credentials["orgs"][ORG], outside / f"{kind}.key"
        file.write_text(WRONG_KEY)
        scene.breaks(kind, {"fault": "echo", "count": 2, "words": {"error": "{echo}"}})
        scene.gtmc(*add, "--key-file", str(file), succeeds=False)
        scene.sites[kind].mend()
        file.write_text("\n".join(keys[name] for name in names))
        scene.gtmc(*add, "--key-file", str(file))
    for kind in (SALESFORCE, O365):
        scene.gtmc("connectors", "add", "--tenant", TENANT, "--type", kind.value)
        scene.log_in(kind)


def _under(
    scene: Scene,
    story: Story,
    trouble: Mapping[ConnectorType, list[dict[str, Any]]],
    work: Callable[[], dict[ConnectorType, SyncOutcome]],
) -> dict[ConnectorType, SyncOutcome]:
    """Do something while the vendors make trouble; trouble that never struck is noted."""
    for kind, wishes in trouble.items():
        for wish in wishes:
            scene.breaks(kind, wish)
    outcome = work()
    for kind, site in scene.sites.items():
        story.unstruck += [
            f"{knob['fault']} of {kind}" for knob in site.ask("GET", "knobs")["knobs"] if not knob["fired"]
        ]
        site.mend()
    return outcome


def _erased(scene: Scene) -> str:
    """One person taken out everywhere, by address; gives it. Their tombstone's key is a secret more."""
    found = next(one for one in scene.sites[SALESFORCE].records("Contact") if one["Email"])
    scene.gtmc("people", "erase", "--tenant", TENANT, "--email", str(found["Email"]), "--yes")
    return str(found["Email"]).lower()


def _dagster(scene: Scene, story: Story) -> None:
    """A run of each connector that succeeds, one that doesn't, the alert about that, and what commands say of it."""
    storage = {"storage": yaml.safe_load((ROOT / "gtmc_pipelines" / "dagster.yaml").read_text())["storage"]}
    folder = scene.home / "dagster"
    folder.mkdir()
    with _webhook(scene) as take, dg.instance_for_test(temp_dir=str(folder), overrides=storage) as instance:
        _runs(scene, story, instance)
        _under(scene, story, _REFUSING, lambda: _refused(scene, story, instance))
        _alerts(scene, instance, take)
    for words in (("connectors", "list", "--json"), ("syncs", "list", "--json"), ("dead-letters", "list")):
        scene.gtmc(*words, "--tenant", TENANT)
    scene.gtmc("connectors", "export", "--tenant", TENANT)
    audited = json.loads(scene.gtmc("audit", "list", "--tenant", TENANT, "--limit", "1000", "--json"))
    story.audited = {(one["action"], one["actor"].partition(":")[0]) for one in audited}


def _alerts(scene: Scene, instance: dg.DagsterInstance, take: Callable[[], None]) -> None:
    """The webhook refuses twice (the first tick only says so) and is told at last."""
    first = sense(instance, "sync_alerts")
    with pytest.raises(Misuse) as refusal:
        sense(instance, "sync_alerts", first.cursor)
    take()
    last = sense(instance, "sync_alerts", first.cursor)
    scene.overheard("the exception of the alerts", refusal.value)
    for tick in (first, last):
        scene.said.append(("what the alerts' tick said", f"{tick.skip_message} {tick.cursor}".encode()))


def _runs(scene: Scene, story: Story, instance: dg.DagsterInstance) -> None:
    from gtmc_pipelines.definitions import defs

    for kind in ConnectorType:
        instance.add_dynamic_partitions(f"{kind}_tenants", [TENANT])
        job = defs.resolve_job_def(f"{kind}_sync")
        result = job.execute_in_process(instance=instance, partition_key=TENANT, raise_on_error=False)
        scene.said.append((f"what a run of {kind} failed with", sentence(result).encode()))
        story.runs[result.success].add(kind)


def _refused(scene: Scene, story: Story, instance: dg.DagsterInstance) -> dict[ConnectorType, SyncOutcome]:
    _runs(scene, story, instance)
    for kind in ConnectorType:
        scene.gtmc("connectors", "verify", *here(kind), succeeds=False)
        scene.gtmc("connectors", "show", *here(kind), "--json")
    scene.gtmc("mappings", "fields", *here(SALESFORCE), "--entity", "person", succeeds=False)
    scene.gtmc("connectors", "disconnect", *here(SALESFORCE))
    return {}


@contextmanager
def _webhook(scene: Scene) -> Iterator[Callable[[], None]]:
    """Something like Slack, whose address is a secret; it takes nothing until told to."""
    taking = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            scene.said.append(("what the webhook was told", body))
            self.send_response(200 if taking.is_set() else 500, f"as asked at {self.path}")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="webhook")
        thread.start()
        scene.set(GTMC_ALERT_WEBHOOK_URL=f"http://127.0.0.1:{server.server_port}/services/T0/{WEBHOOK_SECRET}")
        try:
            yield taking.set
        finally:
            server.shutdown()
            thread.join()


def _configured(scene: Scene, old: str, new: str) -> dict[str, str]:
    """Secrets that aren't a connector's own, and Microsoft's tokens, which nobody stores."""
    apps = {f"{kind} client secret": scene.sites[kind].credentials["client_secret"] for kind in (SALESFORCE, O365)}
    tokens = Tokens(7, (ORG,))
    form = {"grant_type": "client_credentials", "client_id": tokens.client_id, "client_secret": tokens.client_secret}
    issued = [tokens.issue(ORG, {**form, "scope": "/.default"})["access_token"] for _ in range(_O365_TOKENS)]
    return {
        **apps,
        **{f"Office 365 token {number}": token for number, token in enumerate(issued, start=1)},
        "old encryption key": old,
        "new encryption key": new,
        "tombstone key": _tombstone_key(scene, new),
        "database password": PASSWORD,
        "webhook secret": WEBHOOK_SECRET,
        "wrong key": WRONG_KEY,
    }


def _tombstone_key(scene: Scene, key: str) -> str:
    with scene.database.tenant(TENANT) as handle:
        (sealed,) = handle.exec_driver_sql("SELECT sealed FROM erasure_keys").scalars()
    return KeyRing.from_hex(key).open(sealed, SealContext(TENANT, "erasure", "tombstone_key")).reveal()
