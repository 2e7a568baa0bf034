"""Pages of contacts as a vendor would serve them, made once into files so that making them costs no run anything."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

PAGE_RECORDS = 2_000

_FIRST = ("Ana", "Bo", "Carla", "Dmitri", "Eva", "Farid", "Gwen", "Hugo", "Inès", "José", "Kofi", "Łucja", "Pär")
_LAST = ("Smith", "Müller", "O'Neil", "Nguyễn", "Silva", "Kowalski", "Ivanov", "Tanaka", "García", "Rossi", "Novák")
_TITLES = ("VP of Sales", 'Head of "Growth"', "CTO", "Account Executive", "RevOps Manager", "Buyer")
_CITIES = (("San Francisco", "CA", "USA"), ("Berlin", None, "Germany"), ("São Paulo", "SP", "Brazil"))
_WORDS = ("pipeline", "renewal", "stakeholder", "budget", "quarter", "onboarding", "security", "champion", "pricing")


def make_pages(folder: Path, records: int) -> None:
    """Write pages of contacts, about 1 KB each, the same at every call."""
    for page, start in enumerate(range(0, records, PAGE_RECORDS)):
        contacts = [_contact(number) for number in range(start, min(records, start + PAGE_RECORDS))]
        answer = {"totalSize": records, "done": True, "records": contacts}
        body = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
        (folder / f"{page:06}.json").write_bytes(body.encode())


def read_pages(folder: Path) -> Iterator[bytes]:
    """The pages' bytes in order."""
    for file in sorted(folder.glob("*.json")):
        yield file.read_bytes()


def _contact(number: int) -> dict[str, object]:
    dice = random.Random(number)
    first, last, city = dice.choice(_FIRST), dice.choice(_LAST), dice.choice(_CITIES)
    modified = f"2025-{1 + dice.randrange(9):02}-{1 + dice.randrange(28):02}T{dice.randrange(24):02}:00:00.000+0000"
    note = " ".join(dice.choices(_WORDS, k=14))
    return {
        "attributes": {"type": "Contact", "url": f"/services/data/v60.0/sobjects/Contact/{_key('003', number)}"},
        "Id": _key("003", number),
        "AccountId": _key("001", dice.randrange(40_000)),
        "FirstName": " " + first if dice.random() < 0.05 else first,
        "LastName": None if dice.random() < 0.009 else last,
        "Email": f"{first}.{last}{number}@Example{dice.randrange(5000)}.com",
        "Phone": f"+1 ({dice.randrange(200, 999)}) {dice.randrange(100, 999)}-{dice.randrange(1000, 9999)}",
        "MobilePhone": None,
        "Title": dice.choice(_TITLES),
        "Department": dice.choice(("Sales", "marketing", "Engineering", "Finance & Ops", None)),
        "MailingStreet": f"{dice.randrange(1, 9999)} Market St, Suite {dice.randrange(99)}",
        "MailingCity": city[0],
        "MailingState": city[1],
        "MailingPostalCode": str(10_000 + dice.randrange(89_999)),
        "MailingCountry": city[2],
        "LeadSource": dice.choice(("Web", "Referral", "Partner", None)),
        "OwnerId": _key("005", dice.randrange(300)),
        "IsDeleted": False,
        "HasOptedOutOfEmail": dice.random() < 0.1,
        "NumberOfEmployees__c": dice.randrange(1, 50_000),
        "Annual_Value__c": round(dice.random() * 1e6, 2),
        "Score__c": str(dice.randrange(1000) / 10),
        "Description": note + ('\nNext step: "call back"\tASAP — 50% off\\' if dice.random() < 0.3 else "."),
        "CreatedDate": f"2021-{1 + dice.randrange(12):02}-{1 + dice.randrange(28):02}T08:00:00.000+0000",
        "LastModifiedDate": modified,
        "SystemModstamp": modified,
        "LastActivityDate": None,
        "ReportsToId": None,
    }


def _key(prefix: str, number: int) -> str:
    return f"{prefix}5g{number:012}A"
