"""Alerts: one sensor tells a webhook which connectors began to fail and which work again, with cause and next step."""

# No postponed annotations here: Dagster reads those of its functions.

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import dagster as dg

from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.vault.masking import EMAIL, mask_email

if TYPE_CHECKING:
    from gtmc_pipelines.storage.connectors import ConnectorRow

SECONDS_TO_ANSWER = 10.0
_LINES = 20


@dataclass(frozen=True, slots=True)
class News:
    """What changed since the last post, and the failures on record after it (connector id to error code)."""

    failed: "tuple[ConnectorRow, ...]"
    recovered: "tuple[ConnectorRow, ...]"
    failing: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.failed or self.recovered)


def alerts_sensor() -> dg.SensorDefinition:
    """`sync_alerts`: posts to GTMC_ALERT_WEBHOOK_URL.

    A failure is the stretch from a connector's first failed sync to its next good one: posted once when it
    begins, once more if its cause changes, and once when it is over. One message a tick holds all the news, and
    the cursor moves only after the webhook has taken it, so nothing is lost while the webhook is away.
    """

    @dg.sensor(
        name="sync_alerts",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description='Tells a webhook (Slack, or anything that takes {"text": …}) which connectors began to fail, '
        "why and what to do, and which work again; each once. Set GTMC_ALERT_WEBHOOK_URL to use it.",
    )
    def sync_alerts(context: dg.SensorEvaluationContext, gtmc: GtmcResource) -> dg.SensorResult | dg.SkipReason:
        settings = gtmc.settings()
        if settings.alert_webhook_url is None:
            return dg.SkipReason("GTMC_ALERT_WEBHOOK_URL is not set, so nobody is told.")
        known: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        news = news_of(_connectors(gtmc), known)
        if news:
            post(settings.alert_webhook_url.get_secret_value(), message(news, settings.dagster_url))
        said = f"Told the webhook: {len(news.failed)} failed, {len(news.recovered)} recovered." if news else "No news."
        return dg.SensorResult(skip_reason=said, cursor=json.dumps(news.failing, sort_keys=True))

    return sync_alerts


def _connectors(gtmc: GtmcResource) -> "list[ConnectorRow]":
    from gtmc_pipelines.storage.connectors import list_connectors

    with gtmc.database() as database:
        return list_connectors(database)


def news_of(connectors: "Iterable[ConnectorRow]", known: Mapping[str, str]) -> News:
    """What is new against the failures already told. A connector that is syncing is still what it was before.

    One that was disconnected or removed is forgotten: somebody took care of it.
    """
    failed, recovered, failing = [], [], {}
    for row in connectors:
        if row.status is ConnectorStatus.ERROR:
            failing[row.id] = row.error_code or ""
            if known.get(row.id) != failing[row.id]:
                failed.append(row)
        elif row.id in known and row.status is ConnectorStatus.SYNCING:
            failing[row.id] = known[row.id]
        elif row.id in known and row.status is ConnectorStatus.CONNECTED:
            recovered.append(row)
    return News(tuple(failed), tuple(recovered), failing)


def message(news: News, dagster_url: str | None = None) -> str:
    """The text of a post in Slack's markup: the failures first, `_LINES` of each kind."""
    parts = []
    if news.failed:
        parts.append(f":red_circle: *{_counted(len(news.failed), 'sync')} failed*")
        parts += _listed(news.failed, lambda row: f" {_plain(row.last_sync_error or 'No cause was recorded.')}")
    if news.recovered:
        parts.append(f":large_green_circle: *{_counted(len(news.recovered), 'connector')} recovered*")
        parts += _listed(news.recovered, lambda row: " The last sync completed; nothing is to be done.")
    if dagster_url:
        parts.append(f"<{dagster_url.rstrip('/')}/assets|Open Dagster>")
    return "\n".join(parts)


def post(url: str, text: str) -> None:
    """Post `{"text": …}`. Raises Misuse when the webhook doesn't take it; the address itself is a secret."""
    parts = urlsplit(url)
    request = urllib.request.Request(  # noqa: S310 - settings allow http and https only
        url, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS_TO_ANSWER) as answer:
            answer.read(1_000)
            return
    except urllib.error.HTTPError as error:
        answered = f"answered {error.code}"
    except (OSError, ValueError) as error:
        answered = f"did not answer ({type(error).__name__})"
    raise Misuse(
        "webhook_refused",
        f"The alert webhook at {parts.hostname} {answered}.",
        next_step="The news is kept and posted as soon as it does. Check GTMC_ALERT_WEBHOOK_URL.",
    ) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A webhook that moved is a wrong setting: a redirected POST would arrive as a GET, somewhere else."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Never follow."""


def _listed(rows: "tuple[ConnectorRow, ...]", said: Callable[["ConnectorRow"], str]) -> list[str]:
    lines = [f"• *{_plain(row.tenant_id)}*, {row.type.label}:{said(row)}" for row in rows[:_LINES]]
    return [*lines, f"… and {len(rows) - _LINES:,} more."] if len(rows) > _LINES else lines


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    """Text that Slack shows as it is. Our sentences name nobody; an address that got in all the same is masked."""
    return (
        EMAIL.sub(lambda match: mask_email(match.group()), text)
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
    )
