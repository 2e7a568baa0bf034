"""The imitated org's opportunities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gtmc_pipelines.sandbox.names import PRODUCTS, REMARKS
from gtmc_pipelines.sandbox.salesforce.objects_system import owner_field, system_fields
from gtmc_pipelines.sandbox.salesforce.shape import Field, ObjectShape, constant, pick, sometimes
from gtmc_pipelines.sandbox.salesforce.stamps import day_text

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.batch import Batch

STAGES: tuple[tuple[str, float, str, bool, bool], ...] = (
    ("Prospecting", 10.0, "Pipeline", False, False),
    ("Qualification", 20.0, "Pipeline", False, False),
    ("Needs Analysis", 35.0, "Pipeline", False, False),
    ("Proposal/Price Quote", 65.0, "Best Case", False, False),
    ("Negotiation/Review", 85.0, "Commit", False, False),
    ("Closed Won", 100.0, "Closed", True, True),
    ("Closed Lost", 0.0, "Omitted", True, False),
)
_BY_NAME = {stage[0]: stage for stage in STAGES}


def _of_stage(part: int) -> Any:
    return lambda batch: [_BY_NAME.get(name, STAGES[0])[part] for name in batch.column("StageName")]


def _accounts(batch: Batch) -> list[Any]:
    accounts = batch.org.tables["Account"]
    numbers = [accounts.nth_live(company.number) for company in batch.companies]
    rows = zip(accounts.codec.encode(numbers), numbers, batch.dice, strict=True)
    return [None if number >= accounts.base or (dice >> 52) % 40 == 0 else text for text, number, dice in rows]


def _names(batch: Batch) -> list[Any]:
    rows = zip(batch.companies, batch.dice, strict=True)
    return [f"{company.name} – {PRODUCTS[(dice >> 18) % len(PRODUCTS)]}" for company, dice in rows]


def _close_dates(batch: Batch) -> list[Any]:
    rows = zip(batch.column("CreatedDate"), batch.dice, strict=True)
    return [day_text(created // 86_400_000 + 20 + (dice >> 25) % 300) for created, dice in rows]


def _expected(batch: Batch) -> list[Any]:
    rows = zip(batch.column("Amount"), batch.column("Probability"), strict=True)
    return [None if amount is None or chance is None else round(amount * chance / 100, 2) for amount, chance in rows]


OPPORTUNITY = ObjectShape(
    "Opportunity",
    "Opportunity",
    "Opportunities",
    "006",
    (
        *system_fields(),
        Field("AccountId", "reference", _accounts, refers_to=("Account",), relationship="Account"),
        Field("Name", "string", _names, nillable=False, length=120, name_field=True),
        Field("Description", "textarea", pick(REMARKS, 27), length=32000),
        Field("StageName", "picklist", pick(tuple(_BY_NAME), 7), False, 255, picklist=tuple(_BY_NAME)),
        Field(
            "Amount",
            "currency",
            sometimes(lambda batch: [round(500 + (dice >> 13) % 40_000_000 / 100, 2) for dice in batch.dice], 3, 1),
        ),
        Field("Probability", "percent", _of_stage(1)),
        Field("ExpectedRevenue", "currency", _expected),
        Field("CloseDate", "date", _close_dates, nillable=False),
        Field("Type", "picklist", pick((None, "New Business", "Existing Business"), 21), length=40),
        Field("NextStep", "string", pick((None, "Send quote", "Call the lawyer", "Demo + pricing"), 29), length=255),
        Field("LeadSource", "picklist", pick((None, "Web", "Partner Referral", "Other"), 31), length=40),
        Field("IsClosed", "boolean", _of_stage(3), nillable=False),
        Field("IsWon", "boolean", _of_stage(4), nillable=False),
        Field("ForecastCategory", "picklist", _of_stage(2), nillable=False, length=40),
        Field("ForecastCategoryName", "picklist", _of_stage(2), length=40),
        Field("CampaignId", "reference", constant(None), refers_to=("Campaign",)),
        Field("HasOpportunityLineItem", "boolean", constant(False), nillable=False),
        owner_field(),
        Field("LastActivityDate", "date", constant(None)),
        Field("Discount__c", "percent", sometimes(pick((0.0, 5.0, 12.5, 20.0), 35), 47, 6)),
        Field("Competitor__c", "string", pick((None, 'Rival "One"', "Nobody", "Öko AG"), 37), length=120),
    ),
    default_live=600,
    size="opportunities",
    touch=("StageName", tuple(_BY_NAME)),
)
