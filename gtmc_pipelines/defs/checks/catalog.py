"""The catalog of checks: name, promise and remedy of each; their specs, and the answers to those selected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from gtmc_pipelines.defs.checks.connection import authentication, freshness, stuck_on_syncing
from gtmc_pipelines.defs.checks.evidence import SAMPLED_TENANTS, Evidence, Subject
from gtmc_pipelines.defs.checks.fields import drifted_fields, missing_fields
from gtmc_pipelines.defs.checks.members import LEFT_OUT_SYNCS, left_out_members
from gtmc_pipelines.defs.checks.records import balance_sheet, failed_share, failed_values, low_record_count
from gtmc_pipelines.defs.checks.vendor import matches_vendor, not_visible
from gtmc_pipelines.defs.checks.verdict import Verdict, evaluation, unanswered
from gtmc_pipelines.defs.enabled import default_mappings
from gtmc_pipelines.defs.names import canonical_key, raw_key, streams_feeding
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import ENTITIES


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `promise` is what holds when it passes, `remedy` what to do when it doesn't."""

    name: str
    promise: str
    remedy: str
    ask: Callable[[Evidence, Subject], Verdict]

    @property
    def description(self) -> str:
        """What people read beside the check."""
        return f"{self.promise} **If not:** {self.remedy}"


CHECKS = (
    Check(
        "balance_sheet",
        "read = created + updated + unchanged + deleted + failed + skipped, in every recent sync.",
        "records were lost or counted twice, which is our bug. `gtmc syncs show <id>` has the whole sheet; "
        "report it. A full sync puts the data right.",
        balance_sheet,
    ),
    Check(
        "freshness",
        "Every tenant was completely synced since its schedule last came round: its own cron, or every 4 hours.",
        "each late tenant is listed with the cause: reconnect it, wait for its quota, or see whether schedule, "
        "daemon and worker run (`gtmc doctor`).",
        freshness,
    ),
    Check(
        "low_record_count",
        "Syncs read about as many records as they used to.",
        "the incremental cursor may be stale: run a full sync of the tenant, which resets it. If the number stays "
        "low, the connected user may have lost access to records at the vendor.",
        low_record_count,
    ),
    Check(
        "failed_share",
        "Less than 1 % of the records failed in each tenant's newest sync.",
        "list them with `gtmc dead-letters list`, correct the mapping or the records at the vendor, and replay "
        "them: `gtmc dead-letters replay`. Nothing is lost meanwhile.",
        failed_share,
    ),
    Check(
        "failed_values",
        "Every optional value could be read: no column is empty because its value didn't fit.",
        "the records are written without these values. `gtmc failed-values list` names column, reason and records: "
        "correct the mapping, then `gtmc mappings apply`, or the records at the vendor.",
        failed_values,
    ),
    Check(
        "left_out_members",
        f"No member of a group (a mailbox) that could be read was left out of {LEFT_OUT_SYNCS} syncs in a row.",
        "the reason and the next step stand beside each; `gtmc syncs show <id>` names the members. The others are "
        "read in every sync, and a member goes on where it stopped once it answers.",
        left_out_members,
    ),
    Check(
        "missing_fields",
        "No mapped source field is hidden, required ones are filled, and those that a tenant mapped itself exist. "
        f"Hidden ones are told of every tenant; the rest by what the {SAMPLED_TENANTS} tenants synced last have read.",
        "the connected user can't see the field any more, or the field mapping is misconfigured: let the user see it, "
        "or review the tenant's mappings.",
        missing_fields,
    ),
    Check(
        "drifted_fields",
        "The newest records have the fields and types of those before. Looks at records of the "
        f"{SAMPLED_TENANTS} tenants synced last.",
        "the vendor or the tenant's administrator changed the schema: adapt the mapping if a mapped field is gone "
        "or has another type, map what is new if it is needed, then run a full sync.",
        drifted_fields,
    ),
    Check(
        "authentication",
        "The vendor accepts every tenant's credentials.",
        "a token or key expired or was revoked, or consent was withdrawn: the tenant must authenticate again, "
        "`gtmc connectors connect`. Nothing else helps.",
        authentication,
    ),
    Check(
        "stuck_on_syncing",
        "No connector stays on `syncing` without a workflow that explains it.",
        "the workflow timed out or was lost: look for it among the failed workflows in the Temporal UI, then "
        "materialize the tenant again, which goes on at its checkpoint.",
        stuck_on_syncing,
    ),
    Check(
        "matches_vendor",
        "What is stored is what the vendor has, by its own count or by ids, as a sync compares once a day.",
        "run a full sync of the stream, which puts it right. If the number stays, look at dead letters and erased "
        "people, then report it: something is lost in a way nobody knows yet.",
        matches_vendor,
    ),
    Check(
        "not_visible",
        "No record counts as deleted only because the connected user can't see it any more.",
        "the records were deleted for good, or hidden by sharing or permissions, which the vendor doesn't tell "
        "apart: give the connected user View All Data, then run a full sync, which brings back what is there.",
        not_visible,
    ),
)
"""Every check, in the order people read them. Each asset has all of them."""


def subjects_of(connector: ConnectorType) -> list[Subject]:
    """The assets of a connector type as checks see them; raw first."""
    raw = [Subject(raw_key(connector, s.name), (s,), s.entities) for s in STREAMS[connector]]
    entities = dict.fromkeys(entity for stream in STREAMS[connector] for entity in stream.entities)
    return raw + [
        Subject(canonical_key(connector, table), streams_feeding(connector, table), (entity,))
        for entity in entities
        for table in (ENTITIES[entity].table,)
    ]


def check_specs(connector: ConnectorType) -> list[dg.AssetCheckSpec]:
    """Specs of every check of every asset of a connector type.

    They belong to the assets' own op: every asset is skippable, and Dagster skips a check of its own
    behind a skipped output. Selected alone they run without a sync. None blocks anything.
    """
    return [
        dg.AssetCheckSpec(check.name, asset=subject.key, description=check.description)
        for subject in subjects_of(connector)
        for check in CHECKS
    ]


def check_results(
    connector: ConnectorType, selected: AbstractSet[dg.AssetCheckKey], platform: GtmcResource
) -> Iterator[dg.AssetCheckEvaluation]:
    """Answers to the selected checks, over all tenants. What they have in common is asked of the database once.

    A check that meets something unexpected has failed and says so; it spoils neither the others nor the syncs.
    """
    if not selected:
        return
    with platform.database() as database:
        evidence = Evidence(database, connector, default_mappings(connector), datetime.now(UTC))
        for subject in subjects_of(connector):
            for check in CHECKS:
                if dg.AssetCheckKey(subject.key, check.name) in selected:
                    yield _answer(check, subject, evidence)


def _answer(check: Check, subject: Subject, evidence: Evidence) -> dg.AssetCheckEvaluation:
    from gtmc_pipelines.storage.outages import outage_in

    try:
        return evaluation(subject.key, check.name, check.ask(evidence, subject))
    except Exception as error:
        if outage_in(error):
            raise  # no other check would be answered either
        return unanswered(subject.key, check.name, error)
