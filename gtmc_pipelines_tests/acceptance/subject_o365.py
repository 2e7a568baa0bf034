"""Office 365 in front of the acceptance suite: app-only tokens, delta rounds per folder, a mailbox a slice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.sandbox.o365.people import People
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import accept_dpa, set_domains
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.acceptance.subject import (
    Change,
    Connected,
    Exempt,
    Fault,
    HiddenField,
    Late,
    Members,
    Rate,
    Site,
    StreamCase,
    Subject,
)

SIZES = {"mailboxes": 3, "mailbox_messages": 40, "mailbox_copies": 0}  # no copies: each record is met once
SEED = 7
_PEOPLE = People("acme", SEED, SIZES, SIZES["mailboxes"])
FRIEND = next(each.address for each in map(_PEOPLE.contact, range(60)) if _PEOPLE.is_partner(each.address))
NEW_MAIL = Change("Message", "create", fields={"from": FRIEND})


def _environment(site: Site) -> Mapping[str, Any]:
    return {
        "O365_LOGIN_URL": site.base,
        "O365_GRAPH_URL": f"{site.base}/v1.0",
        "O365_CLIENT_ID": site.credentials["client_id"],
        "O365_CLIENT_SECRET": site.credentials["client_secret"],
    }


def _connect(site: Site) -> Connected:
    directory = site.credentials["orgs"][site.org]["directory_id"]
    return Connected({"directory_id": Secret(directory)}, {"organization_id": directory, "mail_page_size": 8})


def _consent(database: Database, tenant: str, site: Site) -> None:
    org = site.credentials["orgs"][site.org]
    accept_dpa(database, tenant, actor="suite", dpa_version="1", at=datetime.now(UTC))
    set_domains(database, tenant, org["allowed_domains"], org["domain"], actor="suite")


SUBJECT = Subject(
    type=ConnectorType.O365,
    sizes=SIZES,
    environment=_environment,
    connect=_connect,
    consent=_consent,
    streams=(
        StreamCase(
            name="email_metadata",
            endpoint="/messages",
            changes=(NEW_MAIL,),
            late=Late(NEW_MAIL, timedelta(days=5)),
            delete=Change("Message", "delete", fields={"only": "direct"}),
        ),
    ),
    faults={
        Fault.CURSOR_LOOP: {"fault": "cursor_loop"},
        Fault.EMPTY_PAGE: {"fault": "empty_page", "count": 1},
        Fault.FOREIGN_LINK: {"fault": "foreign_next"},
        Fault.MALFORMED_RECORD: {"fault": "record_without_id", "count": 1},
        Fault.UNKNOWN_FIELD: {"fault": "extra_field"},
        Fault.MISSING_OPTIONAL: {"fault": "dropped_field", "field": "conversationId"},
        Fault.MISSING_REQUIRED: {"fault": "dropped_field", "fields": ["sentDateTime", "receivedDateTime"], "count": 1},
        Fault.HUGE_RECORD: {"fault": "huge_record", "bytes": 1_200_000, "count": 1},
    },
    members=Members(
        "email_metadata",
        tuple(sorted(_PEOPLE.user(index).id for index in range(3)))[:3],  # type: ignore[arg-type]
        unknown=({"fault": "mailbox_refused"}, "no_mailbox"),
        down=({"fault": "mailbox_refused", "status": 503, "code": "serviceNotAvailable"}, "vendor_unavailable"),
        options={"mail_page_size": 40},
    ),
    refusals=Exempt("Office 365 has one stream: there is no other to go on with."),
    expired=({"fault": "app_unknown"},),
    wide=Exempt("Graph sends what the constant select names, of messages nobody can add fields to."),
    hidden=HiddenField(
        "email_metadata",
        "conversationId",
        {"fault": "dropped_field", "field": "conversationId"},
        "activities",
        "properties",
        "conversation_id",
        needs_full=True,
    ),
    rate=Rate(4, 1.0, {"mailbox_requests": 4, "mailbox_seconds": 1}, path=rf"/users(/|\('){_PEOPLE.user(0).id}"),
)
