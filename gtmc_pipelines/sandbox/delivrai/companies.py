"""Enriched companies of one organization: the world's first ones by number, with facts that may change or vanish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gtmc_pipelines.sandbox.delivrai.signals import DAY_MS, iso
from gtmc_pipelines.sandbox.dice import key_of, roll
from gtmc_pipelines.sandbox.options import SandboxMisuse
from gtmc_pipelines.sandbox.world import World

FIELDS = ("name", "industry", "employeeCount", "annualRevenue")


class Companies:
    """Companies by number; number n is the world's company n."""

    def __init__(self, seed: int, world: World, count: int, anchor_ms: int) -> None:
        self._key = key_of(seed, world.tenant, "enrichment")
        self._world, self._anchor_ms = world, anchor_ms
        self.base = count
        self.made = 0
        self.patches: dict[int, dict[str, Any]] = {}
        self.gone: set[int] = set()

    def __len__(self) -> int:
        return self.base + self.made

    def live(self, start: int, limit: int) -> list[int]:
        """At most `limit` numbers from `start` on of companies that haven't vanished."""
        found: list[int] = []
        for number in range(start, len(self)):
            if len(found) >= limit:
                break
            if number not in self.gone:
                found.append(number)
        return found

    def record(self, number: int) -> dict[str, Any]:
        """A company as the platform's contract words it."""
        company, dice = self._world.company(number), roll(self._key, number)
        document: dict[str, Any] = {
            "domain": company.domain.upper() if dice % 23 == 0 else company.domain,
            "name": None if dice % 19 == 0 else company.name,
            "industry": None if (dice >> 8) % 7 == 0 else company.industry,
            "employeeCount": None if (dice >> 12) % 11 == 0 else company.employees,
            "annualRevenue": None if (dice >> 16) % 9 == 0 else company.revenue,
            "updatedAt": iso(self._anchor_ms - (dice >> 20) % 300 * DAY_MS),
        }
        return document | self.patches.get(number, {})

    def hit(self, number: int) -> dict[str, Any]:
        """The company as the public API ranks it for a topic."""
        company, dice = self._world.company(number), roll(self._key, number)
        score = 99 - number * 60 // max(1, len(self))
        return {
            "domain": company.domain,
            "people_count": 1 + (dice >> 24) % 40,
            "score": "high" if score > 75 else "medium",
            "perc_score": score,
        }

    def member(self, number: int) -> dict[str, Any]:
        """The company as a record of an audience."""
        record = self.record(number)
        return {
            "company_domain": record["domain"],
            "company_name": record["name"],
            "company_industry": record["industry"],
            "company_employee_count": record["employeeCount"],
            "company_annual_revenue": record["annualRevenue"],
        }

    def change(self, number: int, stamp_ms: int, fields: Mapping[str, Any]) -> None:
        """New facts, with their time."""
        strange = sorted(set(fields) - set(FIELDS))
        if strange:
            raise SandboxMisuse(f"A company's {strange[0]} can't be set; known are {', '.join(FIELDS)}.")
        wanted = dict(fields) or {"employeeCount": 1_111 + number}
        self.patches[number] = self.patches.get(number, {}) | wanted | {"updatedAt": iso(stamp_ms)}

    def create(self, stamp_ms: int, fields: Mapping[str, Any]) -> int:
        """One more of the world's companies; gives its number."""
        number = len(self)
        self.change(number, stamp_ms, dict(fields) or {"industry": "Technology"})
        self.made += 1
        return number

    def number_of(self, domain: str) -> int:
        """The number behind a domain. Raises SandboxMisuse for an unknown one."""
        wanted = domain.lower()
        for number in range(len(self)):
            if self._world.company(number).domain == wanted:
                return number
        raise SandboxMisuse(f"There is no company {domain!r}.")
