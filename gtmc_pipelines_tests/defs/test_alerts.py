"""A webhook is told once of each failure and once of its end, by a real HTTP server that takes or refuses posts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest

from gtmc_pipelines.defs.alerts import message, news_of, post
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.connector_states import disconnect
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.defs.check_scene import CheckScene
from gtmc_pipelines_tests.defs.sensing import sense

FAILED, GOOD, BUSY = ConnectorStatus.ERROR, ConnectorStatus.CONNECTED, ConnectorStatus.SYNCING
CAUSE = "The refresh token was revoked. Connect again: `gtmc connectors connect`."


class Webhook:
    """What was posted, and the status to answer with."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.status = 200
        self.promised_bytes = 0
        self.url = ""

    def about(self, tenant: str) -> list[str]:
        """Lines that name a tenant."""
        return [line for text in self.texts for line in text.splitlines() if f"*{tenant}*" in line]


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """A server on the loopback that keeps what it is told."""
    hook = Webhook()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if hook.status == 200:
                assert self.headers["Content-Type"] == "application/json"
                hook.texts.append(body["text"])
            self.send_response(hook.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(hook.promised_bytes))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        hook.url = f"http://127.0.0.1:{server.server_port}/services/T0/S3CRET"
        yield hook
        server.shutdown()
        thread.join()


@pytest.fixture
def scene(database: Database, tenant: str) -> CheckScene:
    return CheckScene.of(database, tenant)


class Ticker:
    """Ticks of the sensor, each with the cursor the last one left."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._cursor: str | None = None

    def tick(self) -> str:
        """What the tick says of itself."""
        data = sense(self._instance, "sync_alerts", cursor=self._cursor)
        self._cursor = data.cursor or self._cursor
        return data.skip_message or ""


@pytest.fixture
def ticker(
    environment: dict[str, str], webhook: Webhook, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Ticker:
    monkeypatch.setenv("GTMC_ALERT_WEBHOOK_URL", webhook.url)
    return Ticker(instance)


@pytest.mark.services
def test_a_failure_is_told_once_and_its_end_is_told_once(scene: CheckScene, ticker: Ticker, webhook: Webhook) -> None:
    ticker.tick()
    assert webhook.about(scene.tenant) == []
    scene.status(FAILED, error_code="token_revoked", error=CAUSE)
    assert "1 failed, 0 recovered" in ticker.tick()
    ticker.tick()
    scene.status(BUSY)
    ticker.tick()
    scene.status(FAILED, error_code="token_revoked", error=CAUSE)
    ticker.tick()
    assert webhook.about(scene.tenant) == [f"• *{scene.tenant}*, Salesforce: {CAUSE}"]
    scene.status(BUSY)
    scene.synced_well()
    assert "0 failed, 1 recovered" in ticker.tick()
    ticker.tick()
    assert len(webhook.about(scene.tenant)) == 2
    assert "recovered" in webhook.texts[-1]


@pytest.mark.services
def test_a_cancel_and_a_new_connection_are_no_recovery_until_a_sync_was_good(
    scene: CheckScene, ticker: Ticker, webhook: Webhook
) -> None:
    scene.status(FAILED, error_code="token_revoked", error=CAUSE)
    ticker.tick()
    for status in (BUSY, GOOD, BUSY, GOOD):
        scene.status(status)
        ticker.tick()
    assert len(webhook.about(scene.tenant)) == 1
    scene.synced_well()
    ticker.tick()
    assert webhook.about(scene.tenant)[1:] == [
        f"• *{scene.tenant}*, Salesforce: The last sync completed; nothing is to be done."
    ]


@pytest.mark.services
def test_a_failure_after_a_good_sync_is_another_one_though_no_tick_saw_the_good_one(
    scene: CheckScene, ticker: Ticker, webhook: Webhook
) -> None:
    for _ in range(2):
        scene.synced_well()
        scene.status(FAILED, error_code="token_revoked", error=CAUSE)
        ticker.tick()
    assert len(webhook.about(scene.tenant)) == 2


@pytest.mark.services
def test_a_failure_that_began_and_ended_while_the_webhook_was_away_is_told_afterwards(
    scene: CheckScene, ticker: Ticker, webhook: Webhook
) -> None:
    webhook.status = 503
    scene.status(FAILED, error_code="token_revoked", error=CAUSE)
    assert "answered 503" in ticker.tick()
    scene.synced_well()
    with pytest.raises(Exception, match="answered 503"):
        ticker.tick()
    webhook.status = 200
    assert "1 recovered" in ticker.tick()
    ticker.tick()
    assert webhook.about(scene.tenant) == [
        f"• *{scene.tenant}*, Salesforce: Had failed with `token_revoked`. "
        "The last sync completed, while this was away."
    ]


@pytest.mark.services
def test_a_post_that_was_taken_is_not_sent_again_though_the_answer_breaks_off(
    scene: CheckScene, ticker: Ticker, webhook: Webhook
) -> None:
    webhook.promised_bytes = 50
    scene.status(FAILED, error_code="token_revoked", error=CAUSE)
    for _ in range(3):
        ticker.tick()
    assert len(webhook.about(scene.tenant)) == 1


@pytest.mark.services
def test_another_cause_is_news_and_a_disconnected_tenant_is_not(
    scene: CheckScene, ticker: Ticker, webhook: Webhook, database: Database
) -> None:
    scene.status(FAILED, error_code="token_revoked", error=CAUSE)
    ticker.tick()
    scene.status(FAILED, error_code="odd_page", error="The page made no sense.")
    ticker.tick()
    assert len(webhook.about(scene.tenant)) == 2
    disconnect(database, scene.tenant, scene.connector.id)
    ticker.tick()
    assert len(webhook.about(scene.tenant)) == 2


@pytest.mark.services
def test_news_that_the_webhook_refused_is_posted_when_it_takes_posts_again(
    scene: CheckScene, ticker: Ticker, webhook: Webhook
) -> None:
    scene.status(FAILED, error_code="token_revoked", error=CAUSE)
    webhook.status = 503
    assert "webhook at 127.0.0.1 answered 503" in ticker.tick()
    for _ in range(2):  # nothing new to keep: from now on the ticks fail, which is seen
        with pytest.raises(Exception, match=r"webhook at 127\.0\.0\.1 answered 503") as refusal:
            ticker.tick()
        assert "S3CRET" not in str(refusal.value)
    webhook.status = 200
    ticker.tick()
    ticker.tick()
    assert len(webhook.about(scene.tenant)) == 1


@pytest.mark.services
@pytest.mark.usefixtures("environment")
def test_without_an_address_the_tick_says_which_variable_to_set(instance: dg.DagsterInstance) -> None:
    assert "GTMC_ALERT_WEBHOOK_URL" in Ticker(instance).tick()


def test_a_redirect_is_refused_and_a_silent_host_is_named_without_the_address(webhook: Webhook) -> None:
    webhook.status = 302
    with pytest.raises(Misuse, match="answered 302"):
        post(webhook.url, "x")
    with pytest.raises(Misuse, match=r"127\.0\.0\.1 did not answer") as refusal:
        post("http://127.0.0.1:9/S3CRET", "x")
    assert "S3CRET" not in str(refusal.value)
    with pytest.raises(Misuse, match=r"127\.0\.0\.1 did not answer") as refusal:
        post("http://127.0.0.1/S3CRET with a blank", "x")
    assert "S3CRET" not in str(refusal.value)
    assert webhook.texts == []


def test_an_outage_of_everybody_is_one_short_message_without_personal_data() -> None:
    rows = [_row(f"t{number:04}", "Ask kim.berg@example.com about <this> & that.") for number in range(2_000)]
    text = message(news_of(rows, {}), "http://dagster.example")
    assert text.startswith(":red_circle: *2,000 syncs failed*\n• *t0000*, Salesforce: ")
    assert "… and 1,980 more." in text
    assert "kim.berg" not in text
    assert "&lt;this&gt; &amp; that" in text
    assert text.endswith("<http://dagster.example/assets|Open Dagster>")
    assert len(text) < 4_000


def _row(tenant: str, error: str) -> ConnectorRow:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    return ConnectorRow(
        id=f"id-{tenant}",
        tenant_id=tenant,
        type=ConnectorType.SALESFORCE,
        name="Salesforce",
        status=FAILED,
        last_sync_at=None,
        last_sync_error=error,
        error_code="x",
        error_kind="broken",
        schedule_cron=None,
        schedule_timezone="UTC",
        version=1,
        created_at=now,
        updated_at=now,
    )
