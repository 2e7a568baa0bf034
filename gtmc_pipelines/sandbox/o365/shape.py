"""How Graph words a message: all metadata that Mail.ReadBasic.All gives, never a body."""

from __future__ import annotations

from typing import Any

from gtmc_pipelines.sandbox.o365.odata import spelled
from gtmc_pipelines.sandbox.o365.people import Participant
from gtmc_pipelines.sandbox.o365.store import Copy, Store, spelled_conversation


def message_json(store: Store, copy: Copy, *, immutable: bool) -> dict[str, Any]:
    """A copy of a mail with every metadata field."""
    mail = store.mails.mail(copy[1])
    patch = store.patches.get(copy)
    received = store.received_ms(copy)
    modified = max(received, patch.modified_ms if patch else 0)
    key = f"CQAAABYAAAB{copy[0]:02x}{copy[1]:08x}{modified // 1000:x}"
    is_own = store.folder_of(copy) == "sentitems"
    return {
        "@odata.etag": f'W/"{key}"',
        "id": store.message_id(copy, immutable=immutable),
        "createdDateTime": spelled(received),
        "lastModifiedDateTime": spelled(modified),
        "changeKey": key,
        "categories": [],
        "receivedDateTime": spelled(received),
        "sentDateTime": spelled(mail.sent_ms),
        "hasAttachments": copy[1] % 4 == 0,
        "internetMessageId": mail.internet_id,
        "subject": mail.subject,
        "importance": "normal",
        "parentFolderId": store.folder_id(copy[0], store.folder_of(copy)),
        "conversationId": mail.conversation,
        "conversationIndex": spelled_conversation(mail),
        "isDeliveryReceiptRequested": None if not is_own else False,
        "isReadReceiptRequested": False,
        "isRead": is_own if patch is None or patch.is_read is None else patch.is_read,
        "isDraft": False,
        "webLink": f"https://outlook.office365.com/owa/?ItemID={copy[0]}-{copy[1]}&exvsurl=1",
        "inferenceClassification": "focused",
        "sender": _recipient(mail.sender),
        "from": _recipient(mail.sender),
        "toRecipients": [_recipient(one) for one in mail.to],
        "ccRecipients": [_recipient(one) for one in mail.cc],
        "bccRecipients": [],
        "replyTo": [],
        "flag": {"flagStatus": "notFlagged"},
    }


def content_of(store: Store, copy: Copy, name: str) -> Any:
    """What a leaking Graph would add: content that was not asked for."""
    mail = store.mails.mail(copy[1])
    return {
        "subject": mail.subject,
        "bodyPreview": mail.preview,
        "body": {"contentType": "text", "content": mail.preview},
        "uniqueBody": {"contentType": "text", "content": mail.preview},
        "attachments": [{"@odata.type": "#microsoft.graph.fileAttachment", "name": "offer.pdf"}],
    }.get(name, mail.preview)


def _recipient(one: Participant) -> dict[str, Any]:
    return {"emailAddress": {"name": one.name, "address": one.address}}
