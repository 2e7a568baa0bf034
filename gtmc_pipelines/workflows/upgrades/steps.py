"""The steps of `gtmc upgrade-data`, as data: an id, what it mends, and how. A version that mends more adds to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gtmc_pipelines.model.catalog import stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.workflows.upgrades.amendments import (
    Amendment,
    Verdict,
    company_by_plain_domain,
    mail_of_machines,
)


class Way(StrEnum):
    """How a step mends. Only a full sync calls the vendor, so it is only done when asked for."""

    AMEND = "amend"
    RENORMALIZE = "renormalize"
    FULL_SYNC = "full sync"


@dataclass(frozen=True, slots=True)
class UpgradeStep:
    """One thing to mend for every connector of a type that has rows.

    `id` is remembered with `version` for each connector: it never changes, and a step that is to be done again gets
    a higher version. A renormalizing has the fingerprint of its mappings as version (`fingerprints`). No `streams`
    means all. An `amendment` is what amends landed records.
    """

    id: str
    connector: ConnectorType
    way: Way
    mends: str
    streams: tuple[str, ...] = ()
    version: str = "1"
    amendment: Amendment | None = None


def _amended(step_id: str, connector: ConnectorType, stream: str, verdict: Verdict, mends: str) -> UpgradeStep:
    found = stream_of(connector, stream)
    assert found is not None
    return UpgradeStep(step_id, connector, Way.AMEND, mends, (stream,), amendment=Amendment(found, verdict))


def _read_again(connector: ConnectorType, mends: str, *streams: str) -> UpgradeStep:
    return UpgradeStep("read-again", connector, Way.FULL_SYNC, mends, streams)


RENORMALIZE = "renormalize"

STEPS: tuple[UpgradeStep, ...] = (
    _amended(
        "plain-domains",
        ConnectorType.DELIVRAI,
        "company_enrichment",
        company_by_plain_domain,
        "Companies get their domain in plain form as id; two forms of one become one.",
    ),
    _amended(
        "mail-of-machines",
        ConnectorType.O365,
        "email_metadata",
        mail_of_machines,
        "Mail with machines only (postmaster@, no-reply@) is marked as deleted: it is counted, not kept.",
    ),
    *(
        UpgradeStep(
            RENORMALIZE, connector, Way.RENORMALIZE, "Rows are made again from raw by today's rules and defaults."
        )
        for connector in ConnectorType
    ),
    _read_again(
        ConnectorType.SALESFORCE,
        "Fields that earlier versions didn't ask for arrive; what is gone from the org without a trace is found.",
    ),
    _read_again(
        ConnectorType.O365,
        "Mail deleted before an earlier full sync is found; stored mail learns its mailbox.",
        "email_metadata",
    ),
    _read_again(
        ConnectorType.CUSTOMERIO,
        "People are read by all their identifiers; deliveries dated in fractions of a second arrive.",
        "people",
        "email_events",
    ),
    _read_again(ConnectorType.DELIVRAI, "Companies that are no longer served are found.", "company_enrichment"),
    _read_again(ConnectorType.FATHOM, "Meetings deleted at the vendor are found.", "meetings"),
)
"""In the order they are done, for each connector."""


def steps_of(connector: ConnectorType) -> list[UpgradeStep]:
    """The steps for connectors of this type, in order."""
    return [step for step in STEPS if step.connector is connector]
