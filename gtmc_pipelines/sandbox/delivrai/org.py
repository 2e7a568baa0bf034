"""One organization at the imitated Delivr.ai: its keys, what it may see, and how fast it may ask."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from gtmc_pipelines.sandbox.delivrai.companies import Companies
from gtmc_pipelines.sandbox.delivrai.signals import Signals
from gtmc_pipelines.sandbox.dice import key_of, token
from gtmc_pipelines.sandbox.options import SandboxMisuse
from gtmc_pipelines.sandbox.vendor import Mutation
from gtmc_pipelines.sandbox.world import DEFAULT_COMPANIES, World

SIGNAL, COMPANY = "IntentSignal", "Company"
DEFAULT_SIGNALS, DEFAULT_ENRICHED, DEFAULT_PEOPLE = 200, 150, 2_000
DEFAULT_RATE = 25
"""Requests a second of an organization; twice as many may come at once."""


class Org:
    """One tenant's organization."""

    def __init__(self, name: str, seed: int, sizes: Mapping[str, int], anchor_ms: int) -> None:
        self.name = name
        self.api_key = "dlvr_" + token(32, seed, name, "delivrai-key")
        self.api_secret = token(40, seed, name, "delivrai-secret")
        self.client_id, self.pixel_id = (token(20, seed, name, "delivrai", kind) for kind in ("client", "pixel"))
        self.id, self.project_id = (
            str(UUID(int=key_of(seed, name, kind) << 64 | key_of(name, kind), version=4)) for kind in ("org", "project")
        )
        world = World(seed, name, companies=sizes.get("accounts", DEFAULT_COMPANIES) or 1)
        people = sizes.get("contacts", DEFAULT_PEOPLE)
        self.signals = Signals(seed, world, sizes.get("signals", DEFAULT_SIGNALS), people, anchor_ms)
        enriched = min(world.companies, sizes.get("enriched_companies", DEFAULT_ENRICHED))
        self.companies = Companies(seed, world, enriched, anchor_ms)
        self.world = world
        self.rate = sizes.get("delivrai_requests_per_second", DEFAULT_RATE)
        self._tokens, self._at = 2.0 * self.rate, time.monotonic()

    def left(self) -> int:
        """Take one request from the allowance; how many are left now, or -1 when there was none."""
        now = time.monotonic()
        self._tokens = min(2.0 * self.rate, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return -1
        self._tokens -= 1
        return int(self._tokens)

    def truth(self) -> dict[str, dict[str, Any]]:
        """Live and vanished records per object."""
        return {
            SIGNAL: {"live": len(self.signals), "deleted": 0},
            COMPANY: {"live": len(self.companies) - len(self.companies.gone), "deleted": len(self.companies.gone)},
        }

    def mutate(self, mutation: Mutation) -> list[str]:
        """Change signals or companies; gives their ids. Raises SandboxMisuse for what can't be."""
        if mutation.object == SIGNAL:
            return self._mutate_signals(mutation)
        if mutation.object == COMPANY:
            return self._mutate_companies(mutation)
        raise SandboxMisuse(f"delivrai has no object {mutation.object!r}; known are {SIGNAL}, {COMPANY}.")

    def _mutate_signals(self, mutation: Mutation) -> list[str]:
        signals = self.signals
        if mutation.action == "create":
            numbers = [signals.create(mutation.stamp_ms, mutation.fields) for _ in range(mutation.count)]
        elif mutation.action == "update":
            numbers = [signals.number_of(one) for one in mutation.ids]
            numbers = numbers or list(range(max(0, len(signals) - mutation.count), len(signals)))
            for number in numbers:
                signals.update(number, mutation.fields)
        else:
            raise SandboxMisuse("Signals are an event log: create and update only.")
        return [f"sig_{number}" for number in numbers]

    def _mutate_companies(self, mutation: Mutation) -> list[str]:
        companies = self.companies
        if mutation.action == "create":
            room = self.world.companies - len(companies)
            if mutation.count > room:
                raise SandboxMisuse(f"Only {room} more companies can be enriched.")
            numbers = [companies.create(mutation.stamp_ms, mutation.fields) for _ in range(mutation.count)]
            return [self.world.company(number).domain for number in numbers]
        numbers = [companies.number_of(one) for one in mutation.ids] or companies.live(0, mutation.count)
        for number in numbers:
            if mutation.action == "update":
                companies.change(number, mutation.stamp_ms, mutation.fields)
            elif mutation.action == "undelete":
                companies.gone.discard(number)
            else:
                companies.gone.add(number)
        return [self.world.company(number).domain for number in numbers]

    def dump(self) -> dict[str, Any]:
        """State worth keeping: JSON-ready."""
        return {
            "bases": [self.signals.base, self.companies.base],
            "created": sorted(self.signals.created.items()),
            "signals": [[number, patch] for number, patch in self.signals.patches.items()],
            "companies": [[number, patch] for number, patch in self.companies.patches.items()],
            "made": self.companies.made,
            "gone": sorted(self.companies.gone),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` gave. Raises SandboxMisuse when the sizes are others."""
        if state["bases"] != [self.signals.base, self.companies.base]:
            raise SandboxMisuse("The state folder was written with other sizes of signals or enriched_companies.")
        for number, moment_ms in state["created"]:
            self.signals.place(number, moment_ms)
        self.signals.patches.update(dict(state["signals"]))
        self.companies.patches.update(dict(state["companies"]))
        self.companies.made = state["made"]
        self.companies.gone.update(state["gone"])
