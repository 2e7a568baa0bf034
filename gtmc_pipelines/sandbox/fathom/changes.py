"""Changing meetings as an account's users would: record one, rename one, let its transcript arrive, remove it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gtmc_pipelines.sandbox.fathom.account import Account
from gtmc_pipelines.sandbox.options import SandboxMisuse
from gtmc_pipelines.sandbox.vendor import Mutation

FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "title": str,
    "meeting_title": (str, type(None)),
    "meeting_type": (str, type(None)),
    "calendar_invitees": list,
    "transcript": (list, type(None)),
    "summary": (str, type(None)),
    "transcript_ready": bool,
    "summary_ready": bool,
    "transcript_bytes": int,
}
"""What `fields` of a mutation may hold."""


def change(account: Account, mutation: Mutation) -> list[str]:
    """Carry a mutation out; gives the recording ids. Raises SandboxMisuse when it can't be done in full."""
    _check(mutation.fields)
    if mutation.action == "create":
        created = mutation.stamp_ms // 1000
        return [account.id_of(account.make(created, mutation.fields)) for _ in range(mutation.count)]
    chosen = [_number(account, text) for text in mutation.ids] or _some(account, mutation)
    for turn, number in enumerate(chosen):
        _write(account, number, turn, mutation)
    return [account.id_of(number) for number in chosen]


def _write(account: Account, number: int, turn: int, mutation: Mutation) -> None:
    patch = account.patch(number)
    if mutation.action == "update":
        patch.changes |= mutation.fields or {"title": f"Renamed {len(account.patches)}.{turn}"}
    else:
        patch.is_deleted = mutation.action != "undelete"


def _check(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name not in FIELDS:
            raise SandboxMisuse(f"meetings have no field {name!r} to set; there are {', '.join(FIELDS)}.")
        if not isinstance(value, FIELDS[name]):
            raise SandboxMisuse(f"{name} is of another type.")


def _number(account: Account, text: str) -> int:
    number = account.number_of(text)
    if number is None:
        raise SandboxMisuse(f"There is no meeting {text!r} in this account.")
    return number


def _some(account: Account, mutation: Mutation) -> list[int]:
    """As many as wanted, newest first; others at each mutation as far as there are any."""
    wants_live = mutation.action != "undelete"
    numbers = [number for number in range(account.next_number - 1, -1, -1) if account.is_live(number) is wants_live]
    fresh = [number for number in numbers if number not in account.patches]
    chosen = [*fresh, *(number for number in numbers if number in account.patches)][: mutation.count]
    if len(chosen) < mutation.count:
        raise SandboxMisuse(f"Only {len(chosen)} meetings are there to {mutation.action}.")
    return chosen
