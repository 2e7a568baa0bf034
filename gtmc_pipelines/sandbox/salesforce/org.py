"""One imitated Salesforce org: its tables, its daily quota, its open cursors and bulk jobs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from gtmc_pipelines.sandbox.dice import key_of, token
from gtmc_pipelines.sandbox.salesforce.objects_accounts import ACCOUNT
from gtmc_pipelines.sandbox.salesforce.objects_activities import EVENT, TASK
from gtmc_pipelines.sandbox.salesforce.objects_deals import OPPORTUNITY
from gtmc_pipelines.sandbox.salesforce.objects_people import CONTACT, LEAD, lead_person
from gtmc_pipelines.sandbox.salesforce.objects_system import ORGANIZATION, USER
from gtmc_pipelines.sandbox.salesforce.record_ids import IdCodec
from gtmc_pipelines.sandbox.salesforce.stamps import spelled
from gtmc_pipelines.sandbox.salesforce.table import Table
from gtmc_pipelines.sandbox.world import World

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.bulk import Job
    from gtmc_pipelines.sandbox.salesforce.select import Result

SHAPES = (ACCOUNT, CONTACT, LEAD, OPPORTUNITY, TASK, EVENT, USER, ORGANIZATION)
DAILY_REQUESTS = 1_000_000
MAX_CURSORS = 2_000


class Org:
    """An org and everything in it. `name` is the tenant, `code` four characters inside every id."""

    def __init__(self, name: str, seed: int, sizes: Mapping[str, int]) -> None:
        self.name = name
        self.code = token(4, seed, name, "org")
        live = {shape.name: sizes.get(shape.size, shape.default_live) for shape in SHAPES}
        self.world = World(seed, name, companies=live["Account"] or 1)
        self.id = IdCodec("00D", self.code).one(0)
        self.username = f"admin@{name}.example"
        self.tables: dict[str, Table] = {}
        deals = key_of(seed, name, "deals") % self.world.companies
        for shape in SHAPES:
            self.tables[shape.name] = Table(self, shape, live[shape.name], *self._numbers(shape.name, deals))
        self.user_ids = self.tables["User"].codec.encode(range(live["User"]))
        self.cursors: OrderedDict[str, Result] = OrderedDict()
        self.jobs: dict[str, Job] = {}
        self.requests_limit, self.requests_used = DAILY_REQUESTS, 0
        self.things_made = 0

    def table(self, name: str) -> Table | None:
        """The table of an object, or None when there is no such object; case doesn't matter."""
        return next((table for known, table in self.tables.items() if known.lower() == name.lower()), None)

    def new_id(self, prefix: str) -> str:
        """An id for something that is not a record: a cursor, a job."""
        self.things_made += 1
        return IdCodec(prefix, self.code).one(self.things_made)

    def keep_cursor(self, result: Result) -> str:
        """Keep a query's result for its next pages; gives the locator. The oldest go when there are too many."""
        locator = self.new_id("01g")
        self.cursors[locator] = result
        while len(self.cursors) > MAX_CURSORS:
            self.cursors.popitem(last=False)
        return locator

    @staticmethod
    def dates(moments: Iterable[int | None]) -> list[str | None]:
        """ISO texts of moments."""
        return spelled(moments, "Z")

    def _numbers(self, name: str, deals: int):  # type: ignore[no-untyped-def]
        world = self.world
        if name == "Account":
            return (lambda index: index), lambda index: _company_of_account(self.tables["Account"], index)
        if name == "Contact":
            return (lambda index: _person_of_contact(self.tables["Contact"], index)), (
                lambda index: world.company_of(_person_of_contact(self.tables["Contact"], index))
            )
        if name == "Lead":
            return lead_person, lambda index: world.company_of(lead_person(index))
        if name == "Opportunity":
            return (lambda index: index), lambda index: (index * 7 + deals) % world.companies
        return (lambda index: 20_000_000 + index), lambda index: index % world.companies


def _company_of_account(accounts: Table, index: int) -> int:
    """Live accounts are the world's companies in order; those deleted or created later come after them."""
    return _live_number(accounts, index)


def _person_of_contact(contacts: Table, index: int) -> int:
    return _live_number(contacts, index)


def _live_number(table: Table, index: int) -> int:
    if index < table.base and not table.base_deleted(index):
        return table.live_before(index)
    if index < table.base:
        return table.live + index // 51
    return index
