"""Taking a page of messages apart: content is refused, and of what remains only the permitted part is kept."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec

from gtmc_pipelines.connectors.json_pages import UNREADABLE, decode_page
from gtmc_pipelines.connectors.o365.policy import Policy, refuse_content
from gtmc_pipelines.model.addresses import plain_address
from gtmc_pipelines.model.machine_addresses import is_machine
from gtmc_pipelines.model.records import RejectedRecord, SourceRecord


class Answer(msgspec.Struct, rename={"next_link": "@odata.nextLink", "delta_link": "@odata.deltaLink"}):
    """A page of Graph; the items keep their own bytes."""

    value: list[msgspec.Raw]
    next_link: str | None = None
    delta_link: str | None = None


class _Email(msgspec.Struct):
    address: str | None = None


class _Recipient(msgspec.Struct, rename="camel"):
    email_address: _Email | None = None


class _Removed(msgspec.Struct):
    reason: str | None = None


class _Message(msgspec.Struct, rename={"from_": "from", "removed": "@removed"}):
    id: str | None = None
    internetMessageId: str | None = None
    conversationId: str | None = None
    receivedDateTime: str | None = None
    sentDateTime: str | None = None
    sender: _Recipient | None = None
    from_: _Recipient | None = None
    toRecipients: list[_Recipient] | None = None
    ccRecipients: list[_Recipient] | None = None
    removed: _Removed | None = None


class Kept(msgspec.Struct, rename="camel"):
    """What is landed of a message: the raw extract's whole payload."""

    direction: str
    occurred_at: str | None
    conversation_id: str | None
    contact: str
    sender: str | None
    to: list[str]
    cc: list[str]
    participant_count: int
    omitted_participants: int


@dataclass(frozen=True, slots=True)
class Removal:
    """A message that has left the folder; `is_deletion` when the vendor calls it deleted."""

    message_id: str
    is_deletion: bool


@dataclass(frozen=True, slots=True)
class Email:
    """A message worth keeping. `is_sole` when no other mailbox of the tenant can hold it."""

    message_id: str
    record: SourceRecord
    is_sole: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A message that is only counted."""


Item = Email | Removal | LeftOut | RejectedRecord

_ANSWER = msgspec.json.Decoder(Answer)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MESSAGE = msgspec.json.Decoder(_Message)
_LEFT_OUT = LeftOut()


def answer_of(body: bytes) -> Answer:
    """A page taken apart. Raises Broken `unparsable_page`, and `privacy_fault` when any item carries content."""
    answer = decode_page(body, _ANSWER, "Microsoft Graph")
    for raw in answer.value:
        try:
            members = _MEMBERS.decode(raw)
        except UNREADABLE:
            continue  # no object: rejected later, and nothing of it is kept
        refuse_content(members)
    return answer


def items_of(answer: Answer, policy: Policy, addresses: frozenset[str], floor: datetime) -> Iterator[Item]:
    """Each item judged. `addresses` are the mailbox's own; nothing received before `floor` is kept."""
    for raw in answer.value:
        try:
            message = _MESSAGE.decode(raw)
        except msgspec.ValidationError:
            yield _rejected(bytes(raw))
            continue
        except UNREADABLE:
            yield RejectedRecord(None, "malformed_record", "The message is not valid JSON.")
            continue
        if not message.id:
            yield RejectedRecord(None, "missing_id", "The message has no id.")
        elif message.removed is not None:
            yield Removal(message.id, message.removed.reason != "changed")
        else:
            yield _judged(message, message.id, policy, addresses, floor)


def names_in(answer: Answer) -> set[str]:
    """Names of a page's messages as records have them, whoever their participants are."""
    names = set()
    for raw in answer.value:
        with suppress(*UNREADABLE):
            message = _MESSAGE.decode(raw)
            if message.id and message.removed is None:
                names.add(_name_of(message, message.id))
    return names


def _name_of(message: _Message, message_id: str) -> str:
    """The same for every copy of a message, and for it alone."""
    return "email_" + hashed((message.internetMessageId or "").strip() or message_id, 16)


def hashed(text: str, size: int) -> str:
    """A short, stable text in place of an id that may tell something."""
    return urlsafe_b64encode(blake2b(text.encode(errors="replace"), digest_size=size).digest()).decode().rstrip("=")


def _judged(message: _Message, message_id: str, policy: Policy, addresses: frozenset[str], floor: datetime) -> Item:
    sender = _address(message.from_) or _address(message.sender)
    to, cc = _addresses(message.toRecipients), _addresses(message.ccRecipients)
    everybody = [*([sender] if sender else []), *to, *cc]
    allowed = list(dict.fromkeys(address for address in everybody if policy.is_allowed(address)))
    people = [address for address in allowed if not is_machine(address)]
    if not people or _is_before(message.receivedDateTime, floor):
        return _LEFT_OUT
    is_kept = frozenset(people).__contains__
    others = [address for address in everybody if address not in allowed]
    occurred_at, moment = _occurred(message)
    kept = Kept(
        direction="outbound" if sender and (policy.is_own(sender) or sender in addresses) else "inbound",
        occurred_at=occurred_at,
        conversation_id=message.conversationId,
        contact=people[0],
        sender=sender if sender and is_kept(sender) else None,
        to=list(filter(is_kept, to)),
        cc=list(filter(is_kept, cc)),
        participant_count=len(set(everybody)),
        omitted_participants=len(set(everybody) - set(people)),
    )
    is_sole = len(others) == 1 and others[0] in addresses
    record = SourceRecord(_name_of(message, message_id), msgspec.json.encode(kept), moment, is_shared=not is_sole)
    return Email(message_id, record, is_sole)


def _occurred(message: _Message) -> tuple[str | None, datetime | None]:
    """When it was sent, the same in every copy; when it was received if the sender's clock ran ahead."""
    sent, received = _moment(message.sentDateTime), _moment(message.receivedDateTime)
    if sent is not None and (received is None or sent <= received):
        return message.sentDateTime, sent
    if received is not None:
        return message.receivedDateTime, received
    return message.sentDateTime or message.receivedDateTime, None


def _is_before(text: str | None, floor: datetime) -> bool:
    moment = _moment(text)
    return moment is not None and moment < floor


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _address(recipient: _Recipient | None) -> str:
    email = recipient.email_address if recipient else None
    text = (email.address if email else None) or ""
    return plain_address(text) or text.strip().lower()  # an internal name of Exchange: nobody's address, but counted


def _addresses(recipients: list[_Recipient] | None) -> list[str]:
    return [address for address in map(_address, recipients or ()) if address]


def _rejected(data: bytes) -> RejectedRecord:
    if data.lstrip()[:1] != b"{":
        return RejectedRecord(None, "not_an_object", "The message is not an object.")
    return RejectedRecord(None, "malformed_record", "A field of the message has another type than its contract says.")
