"""Alerts: one sensor tells a webhook which connectors began to fail and which work again, with cause and next step."""

# No postponed annotations here: Dagster reads those of its functions.

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import dagster as dg

from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.defs.showing import Log, sentence
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.shown_text import unlinked
from gtmc_pipelines.vault.masking import EMAIL, mask_email

if TYPE_CHECKING:
    from gtmc_pipelines.storage.connectors import ConnectorRow

SECONDS_TO_ANSWER = 10.0
_LINES = 20
_PLAIN_HOST = re.compile(r"https?://([\w.-]+)(?::\d{1,5})?(?=[/?#]|\Z)")


@dataclass(frozen=True, slots=True)
class Failing:
    """A failure that isn't over: its code, the connector's last good sync before it ("" for none), who knows of it."""

    code: str
    last_sync_at: str
    is_told: bool


@dataclass(frozen=True, slots=True)
class News:
    """What changed since the last post. `passed` began and ended untold, while the webhook was away.

    By connector id, `seen` is what to remember while this news isn't posted, `told` what once it is.
    """

    failed: "tuple[ConnectorRow, ...]"
    recovered: "tuple[ConnectorRow, ...]"
    passed: "tuple[ConnectorRow, ...]"
    seen: Mapping[str, Failing]

    def __bool__(self) -> bool:
        return bool(self.failed or self.recovered or self.passed)

    @property
    def told(self) -> dict[str, Failing]:
        """The failures that go on, each of them told."""
        over = {row.id for row in (*self.recovered, *self.passed)}
        return {id: replace(failing, is_told=True) for id, failing in self.seen.items() if id not in over}


def alerts_sensor() -> dg.SensorDefinition:
    """`sync_alerts`: posts to GTMC_ALERT_WEBHOOK_URL.

    A failure is the stretch from a connector's first failed sync to its next good one: posted once when it
    begins, once more if its cause changes, and once when it is over. One message a tick holds all the news. While
    the webhook is away the cursor remembers what it has not been told, even what is over by now.
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
        news = news_of(_connectors(gtmc), _known(context.cursor))
        if not news:
            return dg.SensorResult(skip_reason="No news.", cursor=_cursor(news.told))
        try:
            proxy = settings.http_proxy.get_secret_value() if settings.http_proxy else ""
            post(settings.alert_webhook_url.get_secret_value(), message(news, settings.dagster_url), proxy)
        except Misuse as refusal:
            if _cursor(news.seen) == context.cursor:
                raise  # a failed tick is seen, but keeps no cursor: only once there is nothing new to keep
            Log(context).error("{}", refusal)
            return dg.SensorResult(skip_reason=sentence(refusal), cursor=_cursor(news.seen))
        recovered = len(news.recovered) + len(news.passed)
        said = f"Told the webhook: {len(news.failed)} failed, {recovered} recovered."
        return dg.SensorResult(skip_reason=said, cursor=_cursor(news.told))

    return sync_alerts


def _known(cursor: str | None) -> dict[str, Failing]:
    kept = json.loads(cursor) if cursor else {}
    return {id: Failing(**failing) for id, failing in kept.items() if isinstance(failing, dict)}  # once it was a code


def _cursor(failing: Mapping[str, Failing]) -> str:
    return json.dumps({id: asdict(kept) for id, kept in failing.items()}, sort_keys=True)


def _connectors(gtmc: GtmcResource) -> "list[ConnectorRow]":
    from gtmc_pipelines.storage.connectors import list_connectors

    with gtmc.database() as database:
        return list_connectors(database)


def news_of(connectors: "Iterable[ConnectorRow]", known: Mapping[str, Failing]) -> News:
    """What is new against the failures already known.

    Only a good sync ends a failure: while a connector is syncing, after a cancel, and when its user has connected
    it again it is still what it was. One that was disconnected or removed is forgotten: somebody took care of it.
    """
    failed: list[ConnectorRow] = []
    recovered: list[ConnectorRow] = []
    passed: list[ConnectorRow] = []
    seen: dict[str, Failing] = {}
    for row in connectors:
        before = known.get(row.id)
        last_sync_at = row.last_sync_at.isoformat() if row.last_sync_at else ""
        if row.status is ConnectorStatus.ERROR:
            now = Failing(row.error_code or "", last_sync_at, is_told=True)
            seen[row.id] = replace(now, is_told=before == now)
        elif before is None or row.status not in (ConnectorStatus.SYNCING, ConnectorStatus.CONNECTED):
            continue
        else:
            seen[row.id] = before
            if last_sync_at != before.last_sync_at:
                (recovered if before.is_told else passed).append(row)
                continue
        if not seen[row.id].is_told:
            failed.append(row)
    return News(tuple(failed), tuple(recovered), tuple(passed), seen)


def message(news: News, dagster_url: str | None = None) -> str:
    """The text of a post in Slack's markup: the failures first, `_LINES` of each kind."""
    parts = []
    if news.failed:
        parts.append(f":red_circle: *{_counted(len(news.failed), 'sync')} failed*")
        parts += _listed(news.failed, lambda row: f" {_plain(row.last_sync_error or _cause(row, news))}")
    if news.recovered or news.passed:
        recovered = len(news.recovered) + len(news.passed)
        parts.append(f":large_green_circle: *{_counted(recovered, 'connector')} recovered*")
        parts += _listed(news.recovered, lambda row: " The last sync completed; nothing is to be done.")
        parts += _listed(news.passed, lambda row: f" {_cause(row, news)} The last sync completed, while this was away.")
    if dagster_url:
        parts.append(f"<{dagster_url.rstrip('/')}/assets|Open Dagster>")
    return "\n".join(parts)


def post(url: str, text: str, proxy: str = "") -> None:
    """Post `{"text": …}`, https through the proxy of the settings. The environment has no say in that.

    Raises Misuse when the webhook doesn't take it; the address itself is a secret.
    """
    proxies = {"https": proxy} if proxy else {}
    request = urllib.request.Request(  # noqa: S310 - settings allow http and https only
        url, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler(proxies)).open(
            request, timeout=SECONDS_TO_ANSWER
        ):
            return  # it has taken the post, however it goes on with its answer
    except urllib.error.HTTPError as error:
        answered = f"answered {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        answered = f"did not answer ({type(error).__name__})"
    raise Misuse(
        "webhook_refused",
        f"The alert webhook{_named(url)} {answered}.",
        next_step="The news is kept and posted as soon as it does. Check GTMC_ALERT_WEBHOOK_URL.",
    ) from None


def _named(url: str) -> str:
    """Where a message may say it is: nowhere, when what looks like its host may be a password's tail."""
    host = _PLAIN_HOST.match(url)
    return f" at {host[1]}" if host and "@" not in url else ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A webhook that moved is a wrong setting: a redirected POST would arrive as a GET, somewhere else."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Never follow."""


def _listed(rows: "tuple[ConnectorRow, ...]", said: Callable[["ConnectorRow"], str]) -> list[str]:
    lines = [f"• *{_plain(row.tenant_id)}*, {row.type.label}:{said(row)}" for row in rows[:_LINES]]
    return [*lines, f"… and {len(rows) - _LINES:,} more."] if len(rows) > _LINES else lines


def _cause(row: "ConnectorRow", news: News) -> str:
    """For a failure whose sentence is gone, since its connector was connected again or synced well."""
    return f"Had failed with `{_plain(news.seen[row.id].code)}`."


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    """Text that Slack shows as it is, on its line. Our sentences name nobody; an address that got in is masked."""
    return (
        unlinked(EMAIL.sub(lambda match: mask_email(match.group()), text))
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
    )
