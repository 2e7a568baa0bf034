"""Replaying dead letters: which ones wait, what today's mappings would make of them, and the replay itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.console import emit, emit_json, fail, say, say_unbroken
from gtmc_pipelines.cli.in_turn import in_turn
from gtmc_pipelines.cli.sync_views import balance_sheet
from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.model.catalog import STREAMS, Stream, stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Broken, GtmcError, Misuse, Reauthorize, Reject
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage import leases
from gtmc_pipelines.storage.batch import BatchTarget
from gtmc_pipelines.storage.connectors import connector_type, require_connector
from gtmc_pipelines.storage.dead_letters import Backlog, backlog, reasons_of_sync
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.letter_replay import waiting_records
from gtmc_pipelines.storage.tenants import require_tenant
from gtmc_pipelines.workflows.activities.consent import require_consent
from gtmc_pipelines.workflows.activities.mappers import mappers_of
from gtmc_pipelines.workflows.client import SyncClient, workflow_url
from gtmc_pipelines.workflows.inputs import SyncOutcome, SyncRequest

MOST_PREVIEWED = 1_000
"""Records of a stream that a dry run maps; beyond that it says so."""

_PREVIEW = ("tenant", "connector", "stream", "tried", "written", "failed_again", "why")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters a command is about; everything empty: all that are open."""

    tenant: str | None = None
    connector: str | None = None
    stream: str | None = None
    letters: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Replay:
    """The letters of one connector that are tried by one workflow."""

    tenant_id: str
    connector_id: str
    connector: ConnectorType
    streams: tuple[str, ...]
    letters: tuple[int, ...] = ()

    @property
    def request(self) -> SyncRequest:
        """What Temporal is asked for: ids only."""
        return SyncRequest(
            self.tenant_id,
            self.connector_id,
            self.connector,
            streams=self.streams,
            requested_by=cli_actor(),
            letters=self.letters,
        )


@dataclass(slots=True)
class Forecast:
    """What the mappings of today make of a stream's letters. Numbers are records.

    `looked_at` has those too of which nothing is held any more; a replay closes their letters.
    """

    tenant: str
    connector: str
    stream: str
    looked_at: int = 0
    tried: int = 0
    written: int = 0
    failed_again: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def row(self) -> dict[str, Any]:
        """For a table or JSON."""
        why = ", ".join(f"{number:,} {reason}" for reason, number in self.reasons.most_common())
        return {name: getattr(self, name) for name in _PREVIEW[:-1]} | {"why": why or None}


def waiting(database: Database, choice: Choice) -> list[Backlog]:
    """The open letters a choice names. Raises Misuse for a name that doesn't exist, with the near ones."""
    kind = choice.connector
    if choice.tenant is not None:
        require_tenant(database, choice.tenant)
        kind = None if kind is None else require_connector(database, choice.tenant, kind).type
    elif kind is not None:
        kind = connector_type(kind)
    if choice.stream is not None:
        _require_stream(choice.stream, kind)
    found = backlog(database, choice.tenant, kind, choice.stream, choice.letters)
    open_ones = {letter for each in found for letter in each.letters}
    for letter in choice.letters:
        if letter not in open_ones:
            raise Misuse(
                "no_open_letter",
                f"There is no open dead letter {letter} among those chosen.",
                next_step="`gtmc dead-letters list` shows the open ones, with `--all` those that were settled.",
            )
    return found


def replays_of(found: Sequence[Backlog]) -> list[Replay]:
    """One replay for each connector with letters that can be tried."""
    by_connector: dict[tuple[str, str, str], list[Backlog]] = {}
    for each in found:
        if each.replayable:
            by_connector.setdefault((each.tenant_id, each.connector_id, each.connector), []).append(each)
    return [
        Replay(
            tenant,
            connector_id,
            ConnectorType(connector),
            tuple(each.stream for each in streams),
            tuple(letter for each in streams for letter in each.letters),
        )
        for (tenant, connector_id, connector), streams in by_connector.items()
    ]


def tell_unheld(found: Sequence[Backlog]) -> None:
    """Say how many letters no replay can settle, if any, and what does."""
    unheld = sum(each.unheld for each in found)
    if unheld:
        say(
            "{:,} can't be replayed: nothing of the record is held, or no table can hold its id. Correct it at "
            "the vendor, then gtmc sync --full.",
            unheld,
        )


def forecast(database: Database, replays: Sequence[Replay], *, as_json: bool) -> None:
    """Show what a replay would do, by mapping the records here; nothing is written."""
    found = [_forecast(database, replay, name) for replay in replays for name in replay.streams]
    emit([each.row for each in found], _PREVIEW, as_json=as_json, title="A replay now")
    if any(each.looked_at >= MOST_PREVIEWED for each in found) and not as_json:
        say("Of each stream {:,} records at most were looked at.", MOST_PREVIEWED)


def carry_out(settings: Settings, database: Database, replays: Sequence[Replay], *, wait: bool, as_json: bool) -> None:
    """Run the replays, one after the other, each with its balance sheet; or only start them.

    Exits with status 1 when one could not be carried out, after the others.
    """
    done: list[dict[str, Any]] = []
    refused: list[GtmcError] = []
    with SyncClient.open(settings) as client:
        client.require_workers()
        for replay in replays:
            if not wait:
                done.append(_started(settings, database, client, replay, as_json))
                continue
            try:
                name, outcome = in_turn(
                    client,
                    lambda replay=replay: client.replay(replay.request, datetime.now(UTC)),  # type: ignore[misc]
                    then="the letters are tried",
                    command="gtmc dead-letters replay",
                    is_quiet=as_json,
                )
            except Misuse as busy:
                refused.append(busy)
                continue
            reasons = reasons_of_sync(database, replay.tenant_id, outcome.sync_log_id) if outcome.sync_log_id else []
            done.append(_told(settings, replay, name, outcome, reasons, as_json))
            if not outcome.is_success:
                refused.append(GtmcError(outcome.error_code, outcome.error, next_step=outcome.next_step))
    if as_json:
        emit_json(done)
    if refused:
        raise fail(refused[0])


def _started(
    settings: Settings, database: Database, client: SyncClient, replay: Replay, as_json: bool
) -> dict[str, Any]:
    handle = client.replay(replay.request, datetime.now(UTC))
    with database.tenant(replay.tenant_id) as connection:
        held = leases.holder(connection, replay.tenant_id, replay.connector_id)
    if not as_json:
        say_unbroken("[green]✓[/green] started {}", handle.workflow_id)
        if held is not None and held.owner_workflow != handle.workflow_id:
            say_unbroken("  {} is running: the replay gives way to it. Run it again after that.", held.owner_workflow)
    return {"workflow_id": handle.workflow_id, "workflow_url": workflow_url(settings, handle.workflow_id)}


def _told(
    settings: Settings,
    replay: Replay,
    name: str,
    outcome: SyncOutcome,
    reasons: Sequence[dict[str, Any]],
    as_json: bool,
) -> dict[str, Any]:
    if not as_json:
        balance_sheet(outcome.counts, f"{replay.tenant_id} {replay.connector}: replay {outcome.outcome}")
        for each in reasons:
            why = f"{each['reason_code']} {each['detail']}".strip()
            say("[red]✗[/red] {:,} of {} failed again: {}", each["letters"], each["stream"], why)
        if reasons:
            here = f"--tenant {replay.tenant_id} --connector {replay.connector}"
            say("Correct the mapping (gtmc mappings show {}) and replay them again.", here)
    return {
        **asdict(outcome),
        "tenant": replay.tenant_id,
        "connector": replay.connector.value,
        "totals": outcome.totals.as_dict(),
        "failed_again": reasons,
        "workflow_id": name,
        "workflow_url": workflow_url(settings, name),
    }


def _forecast(database: Database, replay: Replay, name: str) -> Forecast:
    found = Forecast(replay.tenant_id, replay.connector.value, name)
    stream = stream_of(replay.connector, name)
    if stream is None:
        return found
    row = require_connector(database, replay.tenant_id, replay.connector_id)
    try:
        require_consent(database, replay.request)
        mappers = mappers_of(database, connector_of(row.type), row, stream)
    except (Broken, Reauthorize) as fault:
        found.reasons[str(fault)] += 1
        return found
    held = waiting_records(database, _target(replay, stream), replay.letters, MOST_PREVIEWED)
    found.looked_at = held.total
    for record in [*held.of_raw, *held.kept]:
        found.tried += 1
        reason = _reason(record, mappers)
        if reason:
            found.failed_again += 1
            found.reasons[reason] += 1
        else:
            found.written += 1
    return found


def _reason(record: SourceRecord, mappers: Sequence[Any]) -> str:
    """Why today's mappings refuse a record: code and field, never its data; empty when they take it."""
    try:
        if not record.is_deleted:
            for mapper in mappers:
                mapper.read(record.payload)
    except Reject as reject:
        return f"{reject.code} {reject.field}".strip()
    return ""


def _target(replay: Replay, stream: Stream) -> BatchTarget:
    """Of no sync: only read by."""
    now = datetime.now(UTC)
    return BatchTarget(replay.tenant_id, replay.connector_id, "", 0, stream, SyncMode.INCREMENTAL, now)


def _require_stream(name: str, kind: str | None) -> None:
    kinds = ConnectorType if kind is None else (ConnectorType(kind),)
    known = sorted({stream.name for each in kinds for stream in STREAMS[each]})
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise Misuse(
            "unknown_stream",
            f"There is no stream {name[:80]!r}.",
            next_step=f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}.",
        )
