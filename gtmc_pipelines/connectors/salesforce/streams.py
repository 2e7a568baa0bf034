"""Salesforce's streams: which object and fields each reads, and which way it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from gtmc_pipelines.connectors.positions import damaged_watermark, watermark_of
from gtmc_pipelines.connectors.salesforce import checkpoint as checkpoints
from gtmc_pipelines.connectors.salesforce.api import FieldInfo, SalesforceSession
from gtmc_pipelines.connectors.salesforce.bulk_pages import (
    BulkUnavailable,
    JobGone,
    read_bulk,
    start_job,
    types_of,
)
from gtmc_pipelines.connectors.salesforce.rest_pages import TOO_HEAVY, answer_of, read_rest
from gtmc_pipelines.connectors.salesforce.soql import Selection, is_name, literal
from gtmc_pipelines.model.errors import Broken, Retry
from gtmc_pipelines.model.records import Page, ReadFrom

DEFAULT_BULK_THRESHOLD = 50_000
DEFAULT_PAGE_RECORDS = 2_000
DEFAULT_BULK_PAGE_RECORDS = 5_000  # about 5 MB of contacts; a page is held some four times over while it is taken apart

_STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
_SYSTEM = "Id IsDeleted CreatedDate CreatedById LastModifiedDate LastModifiedById SystemModstamp"
_NOT_SELECTABLE = frozenset({"address", "location", "base64", "complexvalue"})


def _address(prefix: str) -> str:
    parts = ["Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude", "GeocodeAccuracy"]
    return " ".join(prefix + part for part in parts)


OBJECTS = {
    "accounts": "Account",
    "contacts": "Contact",
    "leads": "Lead",
    "opportunities": "Opportunity",
    "tasks": "Task",
    "events": "Event",
}

# Standard fields worth having. Text of tasks and events (Description) is left out for privacy.
WANTED = {
    "accounts": f"""Name Type ParentId MasterRecordId {_address("Billing")} {_address("Shipping")} Phone Fax Website
        Industry AnnualRevenue NumberOfEmployees Description OwnerId LastActivityDate IsCustomerPortal Jigsaw
        JigsawCompanyId AccountSource SicDesc CurrencyIsoCode RecordTypeId""",
    "contacts": f"""LastName FirstName Salutation Name AccountId MasterRecordId {_address("Other")}
        {_address("Mailing")} Phone Fax MobilePhone HomePhone OtherPhone AssistantPhone ReportsToId Email Title
        Department AssistantName LeadSource Birthdate Description OwnerId HasOptedOutOfEmail HasOptedOutOfFax
        DoNotCall LastActivityDate EmailBouncedReason EmailBouncedDate IsEmailBounced Jigsaw JigsawContactId
        IndividualId CurrencyIsoCode RecordTypeId""",
    "leads": f"""LastName FirstName Salutation Name Title Company {_address("")} Phone MobilePhone Email Website
        Description LeadSource Status Industry Rating AnnualRevenue NumberOfEmployees OwnerId IsConverted
        ConvertedDate ConvertedAccountId ConvertedContactId ConvertedOpportunityId IsUnreadByOwner MasterRecordId
        LastActivityDate EmailBouncedReason EmailBouncedDate IndividualId CurrencyIsoCode RecordTypeId""",
    "opportunities": """AccountId Name Description StageName Amount Probability ExpectedRevenue CloseDate Type
        NextStep LeadSource IsClosed IsWon ForecastCategory ForecastCategoryName CampaignId
        HasOpportunityLineItem Pricebook2Id OwnerId LastActivityDate FiscalQuarter FiscalYear Fiscal ContactId
        HasOpenActivity HasOverdueTask CurrencyIsoCode RecordTypeId""",
    "tasks": """WhoId WhatId Subject ActivityDate Status Priority IsHighPriority OwnerId AccountId IsClosed
        IsArchived CallDurationInSeconds CallType CallDisposition CallObject ReminderDateTime IsReminderSet
        TaskSubtype CompletedDateTime""",
    "events": """WhoId WhatId Subject Location IsAllDayEvent ActivityDateTime ActivityDate DurationInMinutes
        StartDateTime EndDateTime AccountId OwnerId IsPrivate ShowAs IsChild IsGroupEvent GroupEventType
        IsArchived ReminderDateTime IsReminderSet EventSubtype""",
}


def selected_fields(stream: str, described: tuple[FieldInfo, ...]) -> tuple[FieldInfo, ...]:
    """Fields a sync reads: the wanted standard ones this org has, then its custom ones, in that order.

    A field the org lacks or hides is not selected; compound and base64 fields never are.
    """
    offered = {f.name: f for f in described if f.type not in _NOT_SELECTABLE and is_name(f.name)}
    wanted = f"{_SYSTEM} {WANTED[stream]}".split()
    standard = [offered[name] for name in wanted if name in offered]
    custom = [f for f in offered.values() if f.custom and f.name not in wanted]
    return (*standard, *custom)


def selection_of(stream: str, fields: tuple[FieldInfo, ...]) -> Selection:
    """The query's select list. Raises Broken when the object has no Id or no time to read it by."""
    names = tuple(field.name for field in fields)
    stamp = next((name for name in _STAMPS if name in names), None)
    if stamp is None or "Id" not in names:
        raise Broken(
            "object_not_readable",
            f"This Salesforce user can't see the system fields of {OBJECTS[stream]}.",
            next_step="Give the connecting user read access to the object, then sync again.",
        )
    return Selection(OBJECTS[stream], names, stamp)


def read_stream(session: SalesforceSession, stream: str, start: ReadFrom) -> Iterator[Page]:
    """Pages of a stream. A field removed since it was described costs one more description, not the sync."""
    reader = _Reader(session, stream, start)
    yielded = False
    try:
        for page in reader.pages():
            yielded = True
            yield page
        return
    except Broken as fault:
        if fault.code != "invalid_field" or yielded:
            raise
    yield from _Reader(session, stream, start, is_fresh=True).pages()


@dataclass
class _Reader:
    """One read of one stream."""

    session: SalesforceSession
    stream: str
    start: ReadFrom
    is_fresh: bool = False

    def __post_init__(self) -> None:
        described = self.session.describe(OBJECTS[self.stream], fresh=self.is_fresh)
        fields = selected_fields(self.stream, described)
        self.types = types_of(fields)
        self.selection = selection_of(self.stream, fields)

    def pages(self) -> Iterator[Page]:
        """From the checkpoint if there is one, else from the beginning, the cheaper way."""
        checkpoint = checkpoints.decode(self.start.checkpoint) if self.start.checkpoint else None
        if isinstance(checkpoint, checkpoints.RestCheckpoint):
            yield from self._by_rest(checkpoint)
            return
        if checkpoint is None and not self._is_bulk_worthwhile():
            yield from self._by_rest(None)
            return
        yield from self._by_bulk(checkpoint)

    def _by_bulk(self, checkpoint: checkpoints.BulkCheckpoint | None) -> Iterator[Page]:
        if checkpoint is not None:
            with suppress(JobGone):  # jobs are kept for a week; after that everything is read again
                yield from self._results(checkpoint)
                return
        try:
            job = start_job(self.session, self.selection, self.start.until)
        except BulkUnavailable:
            yield from self._by_rest(None)
            return
        try:
            yield from self._results(job)
        except JobGone:
            raise Retry("bulk_job_gone", "Salesforce dropped the results of a Bulk job.") from None

    def _results(self, job: checkpoints.BulkCheckpoint) -> Iterator[Page]:
        page_records = self._option("bulk_page_records", DEFAULT_BULK_PAGE_RECORDS)
        return read_bulk(self.session, self.selection, self.types, self.start.until, page_records, job)

    def _by_rest(self, checkpoint: checkpoints.RestCheckpoint | None) -> Iterator[Page]:
        page_records = self._option("page_records", DEFAULT_PAGE_RECORDS)
        return read_rest(self.session, self.selection, self._lower(), self.start.until, page_records, checkpoint)

    def _lower(self) -> datetime | None:
        """Start of the window: the watermark less the overlap, for rows that were committed late."""
        watermark = watermark_of(self.start)
        if watermark is None:
            return None
        try:
            return datetime.fromisoformat(literal(watermark)) - self.session.settings.overlap
        except ValueError:
            raise damaged_watermark() from None

    def _is_bulk_worthwhile(self) -> bool:
        if self._lower() is not None:
            return False
        threshold = self._option("bulk_threshold", DEFAULT_BULK_THRESHOLD)
        if threshold <= 0:
            return True
        try:
            counted = answer_of(self.session.query(self.selection.count(self.start.until)))
        except (Retry, Broken) as fault:
            if fault.code not in TOO_HEAVY:
                raise
            return True  # too many to count in time
        return counted.total_size > threshold

    def _option(self, name: str, default: int) -> int:
        value = self.session.settings.options.get(name)
        return default if value is None else int(value)
