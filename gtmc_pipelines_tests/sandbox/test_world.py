"""The imitated world is the same for the same seed, and people belong to their companies."""

from __future__ import annotations

import re
import tracemalloc

from gtmc_pipelines.sandbox.world import World


def test_the_same_seed_and_tenant_give_the_same_people() -> None:
    assert [World(7, "acme").person(n) for n in range(50)] == [World(7, "acme").person(n) for n in range(50)]


def test_another_seed_or_tenant_gives_other_people() -> None:
    emails = {World(seed, tenant).person(3).email for seed, tenant in ((7, "acme"), (8, "acme"), (7, "globex"))}
    assert len(emails) == 3


def test_emails_are_unique_and_at_the_domain_of_the_persons_company() -> None:
    world = World(7, "acme")
    people = [world.person(number) for number in range(20_000)]
    assert len({person.email for person in people}) == len(people)
    assert all(person.email.endswith("@" + world.company(person.company).domain) for person in people)
    assert all(re.fullmatch(r"[a-z0-9.+-]+@[a-z0-9.-]+", person.email) for person in people)


def test_domains_are_unique_beyond_the_word_pairs() -> None:
    world = World(7, "acme", companies=5000)
    assert len({world.company(number).domain for number in range(5000)}) == 5000


def test_names_are_not_only_ascii_and_some_emails_carry_a_plus_sign() -> None:
    people = [World(7, "acme").person(number) for number in range(500)]
    assert any(not person.first_name.isascii() for person in people)
    assert any("'" in person.last_name for person in people)
    assert any("+" in person.email for person in people)


def test_people_cost_no_memory() -> None:
    world = World(7, "acme")
    world.person(0)
    tracemalloc.start()
    for number in range(0, 50_000_000, 10_000):
        world.person(number)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_000_000
