"""The imitated workspace's people: the world's first ones, with attributes as texts and times of their changes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.sandbox.dice import key_of, roll
from gtmc_pipelines.sandbox.world import World

PLANS = ("trial", "pro", "enterprise", "free")
_NUMBER = re.compile(r"(\d+)(?:\+crm)?@")
_BORN_SPAN = 500 * 86_400


@dataclass(slots=True)
class Patch:
    """What differs from the seeded person. A value None means that the attribute was removed."""

    values: dict[str, str | None] = field(default_factory=dict)
    stamps: dict[str, int] = field(default_factory=dict)
    is_deleted: bool = False


class People:
    """People 0 … `base` - 1 are seeded, those from `base` on were created later."""

    def __init__(self, world: World, code: str, base: int, anchor: int) -> None:
        self.world, self.code, self.base, self.anchor = world, code, base, anchor
        self.key = key_of(world.seed, world.tenant, "customerio", "people")
        self.patches: dict[int, Patch] = {}
        self.next_index = base

    # --- identity

    def cio_id(self, index: int) -> str:
        """The vendor's own id: never changes, never null."""
        return f"{self.code}{index + 1:08x}"

    def index_of(self, cio_id: str) -> int | None:
        """The person with this id, deleted or not."""
        text = cio_id.removeprefix(self.code)
        if len(text) != 8 or text == cio_id or not re.fullmatch(r"[0-9a-f]{8}", text):
            return None
        index = int(text, 16) - 1
        return index if 0 <= index < self.next_index else None

    def is_live(self, index: int) -> bool:
        """Whether there is such a person."""
        patch = self.patches.get(index)
        return 0 <= index < self.next_index and not (patch and patch.is_deleted)

    def identifiers(self, index: int) -> dict[str, str | None]:
        """`cio_id`, `id` and `email`; of a deleted person only the first."""
        if not self.is_live(index):
            return {"cio_id": self.cio_id(index), "id": None, "email": None}
        patch = self.patches.get(index)
        values: dict[str, str | None] = {"id": self._id(index), "email": self._email(index)}
        if patch:
            values |= {name: patch.values[name] for name in ("id", "email") if name in patch.values}
        return {"cio_id": self.cio_id(index), "id": values["id"], "email": values["email"]}

    def find(self, id_type: str, value: str) -> int | None:
        """The live person with this `id`, `email` or `cio_id` (with or without its `cio_` prefix), or None."""
        found: int | None
        if id_type == "cio_id":
            found = self.index_of(value.removeprefix("cio_"))
            return found if found is not None and self.is_live(found) else None
        candidates = [index for index, patch in self.patches.items() if patch.values.get(id_type) == value]
        if id_type == "id" and re.fullmatch(r"u-[0-9]{1,12}", value):
            candidates.append(int(value[2:]) - 1)
        elif id_type == "email" and (number := _NUMBER.search(value)):
            candidates.append(int(number[1]))
        live = (index for index in candidates if self.is_live(index))
        return next((index for index in live if self.identifiers(index)[id_type] == value), None)

    def _id(self, index: int) -> str | None:
        return None if index % 37 == 5 or index % 97 == 13 else f"u-{index + 1}"

    def _email(self, index: int) -> str | None:
        return None if index % 41 == 11 or index % 97 == 13 else self.world.person(index).email

    # --- records

    def customer(self, index: int) -> dict[str, Any]:
        """A person as `/customers/attributes` words it."""
        identifiers = self.identifiers(index)
        attributes, stamps = self._attributes(index), {}
        patch = self.patches.get(index)
        stamps = {name: self._created(index) for name in attributes}
        if patch:
            stamps |= patch.stamps
            attributes |= patch.values
        kept = {name: value for name, value in attributes.items() if value is not None}
        dice = roll(self.key, index)
        return {
            "id": identifiers["id"] or "",
            "identifiers": identifiers,
            "attributes": {"cio_id": identifiers["cio_id"], **kept},
            "timestamps": {"cio_id": self._created(index), **{name: stamps[name] for name in kept}},
            "unsubscribed": dice % 13 == 0,
            "devices": [] if dice % 5 else [self._device(index, dice)],
        }

    def live(self, start: int = 0) -> Iterator[int]:
        """Live people from an index on."""
        return (index for index in range(start, self.next_index) if self.is_live(index))

    def counts(self) -> tuple[int, int]:
        """Live and deleted people."""
        deleted = sum(patch.is_deleted for patch in self.patches.values())
        return self.next_index - deleted, deleted

    def write(self, index: int, values: Mapping[str, str | None], stamp: int, *, is_deleted: bool = False) -> None:
        """Lay attributes over a person, created when there is none."""
        patch = self.patches.setdefault(index, Patch())
        self.next_index = max(self.next_index, index + 1)
        patch.values |= values
        patch.stamps |= dict.fromkeys(values, stamp)
        patch.is_deleted = patch.is_deleted or is_deleted

    def _created(self, index: int) -> int:
        return self.anchor - 40 * 86_400 - (roll(self.key, index) >> 20) % _BORN_SPAN

    def _attributes(self, index: int) -> dict[str, str | None]:
        person = self.world.person(index)
        company = self.world.company(person.company)
        dice = roll(self.key, index)
        given: dict[str, str | None] = {
            "id": self._id(index),
            "email": self._email(index),
            "created_at": str(self._created(index)),
            "first_name": person.first_name if dice % 19 else f" {person.first_name} ",
            "last_name": person.last_name,
            "title": None if (dice >> 6) % 7 == 0 else person.title,
            "phone": None if (dice >> 9) % 3 == 0 else person.phone,
            "company": None if (dice >> 11) % 6 == 0 else company.name,
            "plan": PLANS[(dice >> 14) % len(PLANS)],
            "timezone": "Europe/Zurich",
        }
        return given

    def _device(self, index: int, dice: int) -> dict[str, Any]:
        token = f"{dice:016x}"
        return {"id": token, "platform": ("ios", "android")[dice & 1], "last_used": self._created(index)}
