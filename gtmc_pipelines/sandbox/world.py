"""The imitated world: companies and people that every vendor knows under the same names, domains and emails.

Nothing is stored: each company and person is worked out from (seed, tenant, number), so a million cost nothing.
Vendors that number their people from 0 speak of the same ones.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from gtmc_pipelines.sandbox import names
from gtmc_pipelines.sandbox.dice import key_of, roll

DEFAULT_COMPANIES = 400
_PAIRS = len(names.COMPANY_HEADS) * len(names.COMPANY_TAILS)


class Company(NamedTuple):
    """One company. `revenue` is whole currency units a year, `domain` is unique within a tenant."""

    number: int
    name: str
    domain: str
    industry: str
    employees: int
    revenue: float
    street: str
    city: str
    postal_code: str
    country: str
    phone: str


class Person(NamedTuple):
    """One person, working at company number `company`; `email` is unique within a tenant and at its domain."""

    number: int
    first_name: str
    last_name: str
    email: str
    title: str
    phone: str
    company: int


class World:
    """The companies and people of one tenant."""

    def __init__(self, seed: int, tenant: str, companies: int = DEFAULT_COMPANIES) -> None:
        self.seed, self.tenant, self.companies = seed, tenant, max(1, companies)
        self._company_key = key_of(seed, tenant, "company")
        self._person_key = key_of(seed, tenant, "person")
        self._shift = self._company_key % _PAIRS
        self.company = lru_cache(maxsize=4096)(self._company)

    def _company(self, number: int) -> Company:
        dice = roll(self._company_key, number)
        pair = (number * 11 + self._shift) % _PAIRS  # 11 and 630 share no factor: each pair once a round
        head = names.COMPANY_HEADS[pair // len(names.COMPANY_TAILS)]
        tail = names.COMPANY_TAILS[pair % len(names.COMPANY_TAILS)]
        again = number // _PAIRS
        mark = f" {again + 1}" if again else ""
        ending = names.COMPANY_ENDINGS[dice % len(names.COMPANY_ENDINGS)]
        city, country, postal_code = names.PLACES[(dice >> 8) % len(names.PLACES)]
        employees = 3 + (dice >> 16) % (40, 400, 4_000, 60_000)[(dice >> 40) & 3]
        return Company(
            number=number,
            name=f"{head} {tail}{mark} {ending}",
            domain=f"{head}-{tail}{again + 1 if again else ''}.example".lower(),
            industry=names.INDUSTRIES[(dice >> 12) % len(names.INDUSTRIES)],
            employees=employees,
            revenue=float(employees * (60 + (dice >> 44) % 200) * 1000),
            street=f"{names.STREETS[(dice >> 20) % len(names.STREETS)]} {1 + (dice >> 24) % 180}",
            city=city,
            postal_code=postal_code,
            country=country,
            phone=f"+{1 + (dice >> 30) % 98} {(dice >> 34) % 900 + 100} {(dice >> 48) % 9000 + 1000}",
        )

    def company_of(self, person: int) -> int:
        """The number of the company a person works at."""
        return (roll(self._person_key, person) >> 32) % self.companies

    def person(self, number: int) -> Person:
        """The person of this number. Some emails carry a plus sign, as real ones do."""
        dice = roll(self._person_key, number)
        first, first_plain = names.FIRST_NAMES[dice % len(names.FIRST_NAMES)]
        last, last_plain = names.LAST_NAMES[(dice >> 10) % len(names.LAST_NAMES)]
        company = (dice >> 32) % self.companies
        joint = "+crm" if number % 61 == 7 else ""
        return Person(
            number,
            first,
            last,
            f"{first_plain}.{last_plain}{number}{joint}@{self.company(company).domain}",
            names.TITLES[(dice >> 20) % len(names.TITLES)],
            f"+{1 + (dice >> 24) % 98} {(dice >> 36) % 900 + 100} {(dice >> 46) % 900000 + 100000}",
            company,
        )
