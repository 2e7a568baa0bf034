"""Redaction: canary secrets and addresses never come out of a log, a traceback or a preview."""

from __future__ import annotations

import json
import logging
from io import StringIO
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.vault.masking import mask_email, mask_name, mask_row
from gtmc_pipelines.vault.redaction import RedactingFilter, Redactor, mask_personal
from gtmc_pipelines.vault.secret import DOTS, Secret

CANARY = "canary/With+odd chars=1"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLWNhbmFyeQ"


@pytest.mark.parametrize(
    ("text", "canary"),
    [
        ("Authorization: Bearer canary-token-123", "canary"),
        ("authorization: basic Y2FuYXJ5OmNhbmFyeQ==", "Y2Fu"),
        ("{'Authorization': 'Bearer canary-token-123'}", "canary"),
        (f"got {JWT} back", "eyJ"),
        ("key " + "0123456789abcdef" * 2, "0123456789abcdef"),
        ("key " + "A1" * 32 + ".", "A1A1"),
        ("GET /cb?code=canary-code-1&state=canary-state-1", "canary"),
        ("GET https://x/?access_token=canary&a=1", "canary"),
        ("refresh_token=canary1234&grant_type=refresh_token", "canary"),
        ('{"access_token": "canary", "instance_url": "https://x"}', "canary"),
        ("client_secret: canary", "canary"),
        ("X-Api-Key: canary", "canary"),
        ("postgresql+psycopg://app:canary@localhost:5432/db", "canary"),
        ("00Dxx0000001gPL!AQcanaryAQcanaryAQcanaryAQcanary", "canary"),
        ("gtmc2.0a1b2c3d.Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5", "Y2Fu"),
        ("no mailbox canary@example.com here", "canary"),
    ],
)
def test_the_shape_of_a_secret_gives_it_away(text: str, canary: str) -> None:
    assert canary not in Redactor().redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "sync-acme-2f1c7e0a-9d3b-4c62-8a53-1f2e3d4c5b6a-20260131T100000000Z",
        "read 200000 records in 12.5 s",
        "token expired, refreshing",
        "postgresql://localhost:5432/db",
        "gtmc_pipelines/vault/redaction.py:42",
    ],
)
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert Redactor().redact(text) == text


def test_a_known_value_is_masked_in_every_form_it_travels_in() -> None:
    redactor = Redactor([Secret(CANARY)])
    text = f"{CANARY} {quote(CANARY, safe='')} {json.dumps(CANARY)}"
    assert "canary" not in redactor.redact(text)
    assert "odd" not in redactor.redact(text)


def test_the_longest_known_value_is_masked_first() -> None:
    assert Redactor(["secret", "secret-and-more"]).redact("x secret-and-more y") == f"x {DOTS} y"


def test_short_values_are_not_remembered_lest_words_vanish() -> None:
    assert Redactor(["a", "", "12345"]).redact("a 12345 b") == "a 12345 b"


@given(st.lists(st.text(min_size=6), min_size=1, max_size=4), st.text(), st.text())
def test_no_remembered_value_survives_anywhere(secrets: list[str], before: str, after: str) -> None:
    redacted = Redactor(secrets).redact(before + secrets[0] + after)
    assert secrets[0] not in redacted or secrets[0] in DOTS or secrets[0] in before + DOTS + after


def logged(call: str, *args: object, exc: BaseException | None = None) -> str:
    """What a handler under the filter writes for one record."""
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactingFilter(Redactor([CANARY])))
    record = logging.LogRecord("x", logging.INFO, __file__, 1, call, args, (type(exc), exc, None) if exc else None)
    handler.handle(record)
    return out.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        logged(f"opened {CANARY}"),
        logged("opened %s", CANARY),
        logged("opened %r for %d", Secret(CANARY), 3),
        logged("form %s", {"refresh_token": "canary-refresh"}),
        logged("access_token=%s", "canary-access"),
        logged("failed", exc=ValueError(f"bad token {CANARY}")),
        logged("failed for canary@example.com", exc=ValueError("canary@example.com")),
        logged(f"too few arguments %s %s {CANARY}", "one"),
    ],
)
def test_nothing_logged_holds_a_canary(text: str) -> None:
    assert text
    assert "canary" not in text


def test_a_record_without_secrets_keeps_its_arguments() -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "read %d of %s", (3, "contacts"), None)
    assert RedactingFilter().filter(record)
    assert record.args == (3, "contacts")


def test_a_traceback_is_kept_as_redacted_text() -> None:
    text = logged("failed", exc=RuntimeError("plain reason"))
    assert "RuntimeError: plain reason" in text


@pytest.mark.parametrize(
    ("address", "masked"),
    [("kim@example.com", "k•••@e•••.com"), ("a@b.co.uk", "a•••@b•••.uk"), ("nonsense", "•••"), ("@x.com", "•••")],
)
def test_a_masked_address_shows_first_letters_only(address: str, masked: str) -> None:
    assert mask_email(address) == masked


def test_addresses_and_numbers_inside_a_text_are_masked() -> None:
    masked = mask_personal("Call Kim (kim@example.com) at +49 30 1234567 on 2026-01-31")
    assert masked == "Call Kim (k•••@e•••.com) at •••67 on 2026-01-31"


def test_a_name_keeps_its_initials_only() -> None:
    assert mask_name(" Kim  van Berg ") == "K••• v••• B•••"


def test_a_masked_row_stays_recognisable_and_names_nobody() -> None:
    row = {
        "first_name": "Canary",
        "last_name": "Canary",
        "email": "canary@canary.com",
        "phone": "+49 30 1234567",
        "title": "VP of mailing canary@x.com",
        "transcript": "canary said",
        "amount": 12.5,
        "close_date": "2026-01-31",
        "account_external_id": None,
    }
    masked = mask_row(row)
    assert "anary" not in str(masked)
    assert (masked["amount"], masked["close_date"], masked["phone"]) == (12.5, "2026-01-31", "•••67")
    assert masked["account_external_id"] is None
