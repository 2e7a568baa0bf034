"""One imitated Salesforce org: its tables, its daily quota, its open cursors and bulk jobs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gtmc_pipelines.sandbox.dice import key_of, token
from gtmc_pipelines.sandbox.salesforce.objects_accounts import ACCOUNT
from gtmc_pipelines.sandbox.salesforce.objects_activities import EVENT, TASK
from gtmc_pipelines.sandbox.salesforce.objects_deals import OPPORTUNITY
from gtmc_pipelines.sandbox.salesforce.objects_people import CONTACT, LEAD, lead_person
from gtmc_pipelines.sandbox.salesforce.objects_system import ORGANIZATION, USER
from gtmc_pipelines.sandbox.salesforce.record_ids import IdCodec
from gtmc_pipelines.sandbox.salesforce.schema import grown, hidden_names
from gtmc_pipelines.sandbox.salesforce.stamps import spelled
from gtmc_pipelines.sandbox.salesforce.table import LIVE_RUN, Table
from gtmc_pipelines.sandbox.world import World

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.knobs import Knob
    from gtmc_pipelines.sandbox.salesforce.bulk import Job
    from gtmc_pipelines.sandbox.salesforce.select import Result

SHAPES = (ACCOUNT, CONTACT, LEAD, OPPORTUNITY, TASK, EVENT, USER, ORGANIZATION)
DAILY_REQUESTS = 1_000_000
MAX_CURSORS = 500
USERS_START = 20_000_000
"""The org's own users are the world's people from this number on."""

Numbering = Callable[[int], int]


class Org:
    """An org and everything in it. `name` is the tenant, `code` four characters inside every id."""

    def __init__(self, name: str, seed: int, sizes: Mapping[str, int]) -> None:
        self.name: str = name
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
        self._shown: tuple[list[int], list[int]] = ([], [])

    def table(self, name: str) -> Table | None:
        """The table of an object, or None when there is no such object; case doesn't matter."""
        return next((table for known, table in self.tables.items() if known.lower() == name.lower()), None)

    def show(self, custom: Sequence[Knob], hidden: Sequence[Knob]) -> None:
        """Let every object look as these standing knobs say."""
        wanted = ([id(knob) for knob in custom], [id(knob) for knob in hidden])
        if wanted == self._shown:
            return
        self._shown = wanted
        for shape in SHAPES:
            table = self.tables[shape.name]
            table.shape, table.hidden = grown(shape, custom), hidden_names(shape, hidden)

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

    def _numbers(self, name: str, deals: int) -> tuple[Numbering, Numbering]:
        """How an object's records are numbered among the world's people and companies."""
        company_of = self.world.company_of
        if name in ("Account", "Contact"):

            def number(index: int) -> int:
                return _world_number(self.tables[name], index)

            return (number, number) if name == "Account" else (number, lambda index: company_of(number(index)))
        if name == "Lead":
            return lead_person, lambda index: company_of(lead_person(index))
        companies = self.world.companies
        if name == "Opportunity":
            return _itself, lambda index: (index * 7 + deals) % companies
        return (lambda index: USERS_START + index), lambda index: index % companies


def _itself(index: int) -> int:
    return index


def _world_number(table: Table, index: int) -> int:
    """Live accounts and contacts are the world's first ones in order; deleted and later ones come after them."""
    if index >= table.base:
        return index
    return table.live + index // (LIVE_RUN + 1) if table.base_deleted(index) else table.live_before(index)
