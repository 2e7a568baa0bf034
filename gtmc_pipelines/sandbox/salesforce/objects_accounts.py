"""The imitated org's accounts: one per company of the world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gtmc_pipelines.sandbox.names import INDUSTRIES, REMARKS
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

TYPES = ("Prospect", "Customer - Direct", "Customer - Channel", "Partner", "Other")
PERSON_EVERY = 50


def is_person(index: int) -> bool:
    """Whether an account is a private person."""
    return index % PERSON_EVERY == PERSON_EVERY - 1


def _websites(batch: Batch) -> list[Any]:
    """Spelled in the many ways people type them."""
    forms = ("https://www.{}/", "http://{}", "{}", "WWW.{}", "https://{}/?ref=a+b")
    rows = zip(batch.companies, batch.dice, strict=True)
    return [forms[(dice >> 14) % 5].format(company.domain) for company, dice in rows]


ACCOUNT = ObjectShape(
    "Account",
    "Account",
    "Accounts",
    "001",
    (
        *system_fields(),
        Field(
            "Name", "string", lambda batch: [company.name for company in batch.companies], False, 255, name_field=True
        ),
        Field("Type", "picklist", sometimes(pick(TYPES, 6), 50, 3), length=40, picklist=TYPES),
        Field("ParentId", "reference", constant(None), refers_to=("Account",), relationship="Parent"),
        Field("MasterRecordId", "reference", constant(None), refers_to=("Account",), relationship="MasterRecord"),
        *address("Billing"),
        *address("Shipping", shift=45),
        Field("Phone", "phone", sometimes(lambda batch: [one.phone for one in batch.companies], 5, 2), length=40),
        Field("Website", "url", sometimes(_websites, 9, 1), length=255),
        Field(
            "Industry",
            "picklist",
            sometimes(lambda batch: [company.industry for company in batch.companies], 30, 1),
            length=40,
            picklist=INDUSTRIES,
        ),
        Field("AnnualRevenue", "currency", sometimes(lambda batch: [one.revenue for one in batch.companies], 20, 2)),
        Field("NumberOfEmployees", "int", sometimes(lambda batch: [one.employees for one in batch.companies], 26, 2)),
        Field("Description", "textarea", pick(REMARKS, 17), length=32000),
        owner_field(),
        Field("LastActivityDate", "date", constant(None)),
        Field("IsPersonAccount", "boolean", lambda batch: [is_person(index) for index in batch.indices], False),
        Field("PersonContactId", "reference", constant(None), refers_to=("Contact",)),
        Field("AccountSource", "picklist", pick((None, "Web", "Partner Referral", "Other"), 33), length=40),
        *unused(
            string="AccountNumber Site TickerSymbol Sic SicDesc Jigsaw JigsawCompanyId YearStarted DunsNumber",
            phone="Fax",
            picklist="Ownership Rating CleanStatus",
            url="PhotoUrl",
        ),
        *seen_by_user(),
        Field("Health_Score__c", "double", lambda batch: [round((dice >> 12) % 1000 / 10, 1) for dice in batch.dice]),
        Field("Region__c", "string", pick(("EMEA", "AMER", "APAC", None, "DACH & Nordics"), 38), length=80),
    ),
    default_live=400,
    size="accounts",
    touch=("NumberOfEmployees", (11, 222, 3333, 44444)),
)
