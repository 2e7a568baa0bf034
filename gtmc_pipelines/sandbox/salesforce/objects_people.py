"""The imitated org's contacts and leads: people of the world, some of them both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gtmc_pipelines.sandbox.names import INDUSTRIES, REMARKS, TITLES
from gtmc_pipelines.sandbox.salesforce.objects_system import owner_field, system_fields
from gtmc_pipelines.sandbox.salesforce.shape import (
    Field,
    ObjectShape,
    address,
    constant,
    pick,
    seen_by_user,
    sometimes,
    unused,
)

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.batch import Batch

SALUTATIONS = (None, "Mr.", "Ms.", "Dr.", None, "Prof.")
LEAD_STATUS = ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted")
LEAD_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
CONVERTED_EVERY = 10
CONVERTED_STEP = 3
LEADS_START = 10_000_000
"""Leads that are nobody's contact are the world's people from this number on."""


def lead_person(index: int) -> int:
    """The world's person behind a lead: a converted one is the contact made of it."""
    return index // CONVERTED_EVERY if converted(index) else LEADS_START + index


def converted(index: int) -> bool:
    """Whether a lead has become a contact."""
    return index % CONVERTED_EVERY == CONVERTED_STEP


def _names(batch: Batch) -> list[Any]:
    pairs = zip(batch.column("FirstName"), batch.column("LastName"), strict=True)
    return [f"{first} {last}" if first else last for first, last in pairs]


def _person_fields() -> tuple[Field, ...]:
    return (
        Field("LastName", "string", lambda batch: [one.last_name for one in batch.people], False, 80),
        Field("FirstName", "string", lambda batch: [one.first_name for one in batch.people], length=40),
        Field("Salutation", "picklist", pick(SALUTATIONS, 15), length=40, picklist=("Mr.", "Ms.", "Dr.", "Prof.")),
        Field("Name", "string", _names, nillable=False, length=121, name_field=True),
        Field("MasterRecordId", "reference", constant(None), refers_to=("Contact",)),
        Field("Phone", "phone", sometimes(lambda batch: [one.phone for one in batch.people], 2, 3), length=40),
        Field("MobilePhone", "phone", sometimes(lambda batch: [one.phone for one in batch.people], 6, 12), length=40),
        Field("Email", "email", sometimes(lambda batch: [one.email for one in batch.people], 28, 1), length=80),
        Field("Title", "string", sometimes(lambda batch: [one.title for one in batch.people], 33, 2), length=128),
        Field("LeadSource", "picklist", sometimes(pick(LEAD_SOURCES, 9), 19, 4), length=40, picklist=LEAD_SOURCES),
        Field("Description", "textarea", pick(REMARKS, 23), length=32000),
        owner_field(),
        Field("LastActivityDate", "date", constant(None)),
        Field("HasOptedOutOfEmail", "boolean", lambda batch: [dice % 11 == 0 for dice in batch.dice], False),
        *unused(phone="Fax", string="Jigsaw", picklist="CleanStatus", url="PhotoUrl", reference="IndividualId"),
        *seen_by_user(),
    )


def _accounts(batch: Batch) -> list[Any]:
    accounts = batch.org.tables["Account"]
    numbers = [accounts.nth_live(person.company) for person in batch.people]
    there = accounts.codec.encode(numbers)
    rows = zip(there, numbers, batch.dice, strict=True)
    return [None if number >= accounts.base or (dice >> 52) % 23 == 0 else text for text, number, dice in rows]


def _are_accounts(batch: Batch) -> list[Any]:
    """Whether a contact is the person of a person account."""
    accounts = batch.org.tables["Account"]
    numbers = [None if text is None else accounts.codec.decode(text) for text in batch.column("AccountId")]
    there = sorted({number for number in numbers if number is not None and accounts.exists(number)})
    found = dict(zip(there, type(batch)(accounts, there).column("IsPersonAccount"), strict=True))
    return [bool(number is not None and found.get(number)) for number in numbers]


CONTACT = ObjectShape(
    "Contact",
    "Contact",
    "Contacts",
    "003",
    (
        *system_fields(),
        Field("AccountId", "reference", _accounts, refers_to=("Account",), relationship="Account"),
        *_person_fields(),
        *address("Mailing", shift=41),
        *unused(phone="HomePhone OtherPhone AssistantPhone", string="AssistantName", reference="ReportsToId"),
        Field("IsPersonAccount", "boolean", _are_accounts, False),
        Field("Department", "string", pick((None, "Sales", "R&D", "Finance", "IT", None), 36), length=80),
        Field("Birthdate", "date", constant(None)),
        Field("DoNotCall", "boolean", lambda batch: [dice % 29 == 0 for dice in batch.dice], False),
        Field("EmailBouncedReason", "string", constant(None), length=255),
        Field("EmailBouncedDate", "datetime", constant(None)),
        Field("Engagement_Score__c", "double", lambda batch: [float((dice >> 12) % 101) for dice in batch.dice]),
        Field(
            "Account_Employees__c", "double", lambda batch: batch.column("Account.NumberOfEmployees"), calculated=True
        ),
        Field("Persona__c", "string", pick(("Champion", "Economic buyer", None, "User", "Blocker"), 31), length=80),
    ),
    default_live=2000,
    size="contacts",
    touch=("Title", TITLES),
)


def _converted_to(object_name: str) -> Any:
    def make(batch: Batch) -> list[Any]:
        table = batch.org.tables[object_name]
        ids: list[str | None] = []
        for index, person in zip(batch.indices, batch.people, strict=True):
            number = table.nth_live(index // CONVERTED_EVERY if object_name == "Contact" else person.company)
            ids.append(table.codec.one(number) if converted(index) and number < table.base else None)
        return ids

    return make


def _statuses(batch: Batch) -> list[Any]:
    open_status = (LEAD_STATUS[0], LEAD_STATUS[1], LEAD_STATUS[3])
    rows = zip(batch.indices, batch.dice, strict=True)
    return [LEAD_STATUS[2] if converted(index) else open_status[(dice >> 11) % 3] for index, dice in rows]


def _converted_dates(batch: Batch) -> list[Any]:
    days = [date[:10] if date else None for date in batch.org.dates(batch.column("SystemModstamp"))]
    return [day if converted(index) else None for index, day in zip(batch.indices, days, strict=True)]


LEAD = ObjectShape(
    "Lead",
    "Lead",
    "Leads",
    "00Q",
    (
        *system_fields(),
        *_person_fields(),
        Field("Company", "string", lambda batch: [company.name for company in batch.companies], False, 255),
        *address(""),
        Field("Website", "url", lambda batch: [f"https://{company.domain}" for company in batch.companies], length=255),
        Field("Status", "picklist", _statuses, nillable=False, length=40, picklist=LEAD_STATUS),
        Field(
            "Industry", "picklist", lambda batch: [one.industry for one in batch.companies], True, 40, "", INDUSTRIES
        ),
        Field(
            "Rating", "picklist", pick((None, "Hot", "Warm", "Cold"), 13), length=40, picklist=("Hot", "Warm", "Cold")
        ),
        Field("AnnualRevenue", "currency", sometimes(lambda batch: [one.revenue for one in batch.companies], 20, 8)),
        Field("NumberOfEmployees", "int", sometimes(lambda batch: [one.employees for one in batch.companies], 26, 6)),
        Field("IsConverted", "boolean", lambda batch: [converted(index) for index in batch.indices], False),
        Field("ConvertedDate", "date", _converted_dates),
        Field("ConvertedAccountId", "reference", _converted_to("Account"), refers_to=("Account",)),
        Field("ConvertedContactId", "reference", _converted_to("Contact"), refers_to=("Contact",)),
        Field("ConvertedOpportunityId", "reference", constant(None), refers_to=("Opportunity",)),
        Field("IsUnreadByOwner", "boolean", lambda batch: [dice % 3 == 0 for dice in batch.dice], False),
        Field("Lead_Score__c", "double", lambda batch: [float((dice >> 12) % 101) for dice in batch.dice]),
    ),
    default_live=1000,
    size="leads",
    touch=("Rating", ("Hot", "Warm", "Cold")),
)
