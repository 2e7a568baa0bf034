"""The mails of one imitated organization: each worked out from its number, with a copy in every mailbox it reached."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from gtmc_pipelines.sandbox.dice import key_of, roll, token
from gtmc_pipelines.sandbox.o365.people import Participant, People

SPREAD_DAYS = 28
OLD_DAYS = 60
"""One mail in twenty is this much older than the others: older than any usual look-back."""
FIRST_CREATED = 1 << 33
"""Numbers of mails made by mutations begin here."""
_DAY_MS = 86_400_000
_SUBJECTS = ("Renewal", "Next steps", "Agenda for Thursday", "Re: Pricing", "Invoice 4711", "Quick question")


class Mail(NamedTuple):
    """One mail. `mailboxes` are those that hold a copy; `conversation` is the same for a thread."""

    number: int
    sent_ms: int
    sender: Participant
    to: tuple[Participant, ...]
    cc: tuple[Participant, ...]
    subject: str
    preview: str
    internet_id: str
    conversation: str
    mailboxes: tuple[int, ...]


class Mails:
    """All mails of an organization: seeded ones, newest first, and those created since.

    `anchor_ms` is the moment before which all seeded mails were sent; without `with_copies` none of them
    reaches two mailboxes.
    """

    def __init__(self, people: People, per_mailbox: int, anchor_ms: int, *, with_copies: bool = True) -> None:
        self.people, self.per_mailbox, self.anchor_ms = people, per_mailbox, anchor_ms
        self._with_copies = with_copies and people.mailboxes > 1
        self.created: dict[int, Mapping[str, Any]] = {}
        self._key = key_of(people.seed, people.org, "mail")
        self._step_ms = SPREAD_DAYS * _DAY_MS // max(1, self.seeded + 1)
        self.mail = lru_cache(maxsize=8192)(self._worked_out)
        self._domain = f"{token(8, people.seed, people.org, 'mx').lower()}.mail.example"

    @property
    def seeded(self) -> int:
        """How many seeded mails there are."""
        return self.people.mailboxes * self.per_mailbox

    def numbers_in(self, mailbox: int) -> list[int]:
        """Mails with a copy in a mailbox, seeded ones first, in order of their numbers."""
        if mailbox >= self.people.mailboxes:
            return [number for number in self.created if mailbox in self.mail(number).mailboxes]
        count, before = self.people.mailboxes, (mailbox - 1) % self.people.mailboxes
        found: list[int] = []
        for turn in range(self.per_mailbox):
            both = sorted({turn * count + mailbox, turn * count + before})
            found += [n for n in both if n % count == mailbox or self._has_colleague(roll(self._key, n))]
        return found + [number for number in self.created if mailbox in self.mail(number).mailboxes]

    def _worked_out(self, number: int) -> Mail:
        """`mail`: the mail of this number."""
        if number >= FIRST_CREATED:
            return self._made(number)
        dice, count = roll(self._key, number), self.people.mailboxes
        primary, turn = number % count, number // count
        age = (number + 1) * self._step_ms
        if turn % 20 == 19:
            age += OLD_DAYS * _DAY_MS
        other = (primary + 1) % count
        colleague = self.people.owner(other) if self._has_colleague(dice) else None
        sender, to, cc = self._parties(dice, self.people.owner(primary), colleague)
        mailboxes = (primary, other) if colleague else (primary,)
        return self._mail(number, self.anchor_ms - age, sender, to, cc, mailboxes, dice)

    def create(self, wish: Mapping[str, Any]) -> int:
        """Make a mail: `mailbox`, `sent_ms`, and optionally `from`, `to`, `cc` (addresses)."""
        number = FIRST_CREATED + len(self.created)
        self.created[number] = dict(wish)
        return number

    def _has_colleague(self, dice: int) -> bool:
        """Whether a second mailbox of the organization holds a copy."""
        kind = dice % 10
        return self._with_copies and (kind in (6, 9) or (kind == 8 and bool(dice >> 5 & 1)))

    def _parties(
        self, dice: int, me: Participant, colleague: Participant | None
    ) -> tuple[Participant, tuple[Participant, ...], tuple[Participant, ...]]:
        kind, contact, second = dice % 10, self.people.contact(dice >> 8), self.people.contact(dice >> 20)
        also = (colleague,) if colleague else ()
        if kind <= 3:
            return contact, (me,), ()
        if kind in (4, 5):
            return me, (contact,), ()
        if kind == 6:
            return colleague or me, (me,), ()
        if kind == 7:
            return Participant("News", f"news@letters{dice % 7}.example.net"), (me,), ()
        if kind == 8:
            return contact, (me, *also), (second,)
        return me, (contact,), also

    def _made(self, number: int) -> Mail:
        wish = self.created[number]
        dice, me = roll(self._key, number), self.people.owner(int(wish["mailbox"]))
        sender = _participant(wish.get("from")) or self.people.contact(dice >> 8)
        to = tuple(filter(None, map(_participant, wish.get("to") or ()))) or (me,)
        cc = tuple(filter(None, map(_participant, wish.get("cc") or ())))
        return self._mail(number, int(wish["sent_ms"]), sender, to, cc, (int(wish["mailbox"]),), dice)

    def _mail(
        self,
        number: int,
        sent_ms: int,
        sender: Participant,
        to: tuple[Participant, ...],
        cc: tuple[Participant, ...],
        mailboxes: tuple[int, ...],
        dice: int,
    ) -> Mail:
        subject = _SUBJECTS[(dice >> 30) % len(_SUBJECTS)]
        internet_id = f"<{token(24, self._key, number, 'imid')}@{self._domain}>"
        conversation = "AAQkAD" + token(58, self._key, number // 3, "conversation") + "="
        preview = f"Dear all, about {subject.lower()}: secret number {dice % 10_000}."
        return Mail(
            number, sent_ms // 1000 * 1000, sender, to, cc, subject, preview, internet_id, conversation, mailboxes
        )


def _participant(address: Any) -> Participant | None:
    return Participant(str(address).partition("@")[0], str(address)) if address else None
