"""The directory of one imitated organization: its users and the outside people they write with."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

from gtmc_pipelines.sandbox.world import DEFAULT_COMPANIES, World

USERS_START = 20_000_000
"""The organization's own users are the world's people from this number on, as in Salesforce."""
PARTNERS = 40
"""Companies whose people write mails; the first three quarters of them are suggested for the allowlist."""
ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
"""Template id of the directory role Global Administrator ("Microsoft Entra built-in roles")."""
_CONTACTS, _SEARCHED = 60, 4_000


class Participant(NamedTuple):
    """A name and an address, as a header has them."""

    name: str
    address: str


class User(NamedTuple):
    """A user of the directory; `mailbox` is None without Exchange. `number` counts users."""

    number: int
    id: str
    name: str
    mail: str | None
    principal: str
    is_enabled: bool
    mailbox: int | None

    @property
    def is_administrator(self) -> bool:
        """Whether this is the one Global Administrator."""
        return self.number == 0


def guid(*parts: object) -> str:
    """A repeatable GUID."""
    digest = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))


class People:
    """Users of one organization (those with mailboxes first) and the contacts outside."""

    def __init__(self, org: str, seed: int, sizes: Mapping[str, int], mailboxes: int) -> None:
        self.org, self.seed = org, seed
        self.world = World(seed, org, companies=sizes.get("accounts", DEFAULT_COMPANIES) or 1)
        self.domain = f"{org}.example"
        self.mailboxes = mailboxes

    def user(self, index: int) -> User:
        """A user: those with a mailbox, then one without Exchange, one disabled with a mailbox, one guest."""
        person = self.world.person(USERS_START + index)
        local = "admin" if index == 0 else person.email.partition("@")[0]
        address = f"{local}@{self.domain}"
        extra = index - self.mailboxes
        principal, mail = address, address
        if extra == 2:
            mail = person.email
            principal = f"{mail.replace('@', '_')}#EXT#@{self.domain}"
        mailbox = index if extra < 0 else self.mailboxes if extra == 1 else None
        name = f"{person.first_name} {person.last_name}"
        return User(
            index,
            guid(self.seed, self.org, "user", index),
            name,
            None if extra == 0 else mail,
            principal,
            extra != 1,
            mailbox,
        )

    @property
    def users(self) -> int:
        """How many users there are."""
        return self.mailboxes + 3

    @cached_property
    def _numbers(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for index in range(self.users):
            user = self.user(index)
            found[user.id] = found[user.principal.lower()] = index
        return found

    def find(self, text: str) -> User | None:
        """The user of an id or a principal name."""
        index = self._numbers.get(text.lower())
        return None if index is None else self.user(index)

    def owner(self, mailbox: int) -> Participant:
        """The user of a mailbox as a participant."""
        user = self.user(mailbox if mailbox < self.mailboxes else self.mailboxes + 1)
        return Participant(user.name, user.principal)

    @cached_property
    def contacts(self) -> list[int]:
        """World numbers of the outside people: the first ones working at a partner company."""
        world = self.world
        found = [number for number in range(_SEARCHED) if world.company_of(number) < PARTNERS]
        return found[:_CONTACTS] or [0]

    def contact(self, dice: int) -> Participant:
        """One of them, by chance. Some mail programs write the local part with a capital letter."""
        number = self.contacts[dice % len(self.contacts)]
        person = self.world.person(number)
        address = person.email.capitalize() if number % 5 == 2 else person.email
        return Participant(f"{person.first_name} {person.last_name}", address)

    @cached_property
    def suggested_domains(self) -> list[str]:
        """Domains for a tenant's allowlist: some partners, not all."""
        world = self.world
        companies = {world.company_of(number) for number in self.contacts}
        return sorted(world.company(number).domain for number in companies if number < PARTNERS * 3 // 4)

    def is_partner(self, address: str) -> bool:
        """Whether an address is on a suggested domain."""
        return address.rpartition("@")[2].lower() in self.suggested_domains

    def user_json(self, user: User, changes: Mapping[str, Any]) -> dict[str, Any]:
        """A user as Graph words it, all properties we have."""
        first, _, last = user.name.partition(" ")
        return {
            "id": user.id,
            "displayName": user.name,
            "givenName": first,
            "surname": last,
            "mail": user.mail,
            "userPrincipalName": user.principal,
            "accountEnabled": user.is_enabled,
            "userType": "Guest" if "#EXT#" in user.principal else "Member",
            "businessPhones": [],
            "jobTitle": None,
            "mobilePhone": None,
            "officeLocation": None,
            "preferredLanguage": None,
            **changes,
        }
