"""Every error of Salesforce has a leaf, a sentence and a next step, and holds none of the vendor's text."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from gtmc_pipelines.connectors.salesforce.error_table import Wording
from gtmc_pipelines.connectors.salesforce.errors import (
    BY_CODE,
    BY_WORDING,
    OAUTH,
    OAUTH_BY_WORDING,
    error_code,
    fault_of,
    oauth_fault_of,
)
from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize, Retry, SyncFault

NOW = datetime(2026, 1, 15, 9, 30, 12, tzinfo=UTC)
SECRET_TEXT = "the vendor says kim@example.test"

CASES: list[tuple[int, str, type[SyncFault], str]] = [
    (300, "", Broken, "several_records"),
    (400, "QUERY_TOO_COMPLICATED", Broken, "query_too_complicated"),
    (400, "OPERATION_TOO_LARGE", Broken, "operation_too_large"),
    (400, "REQUEST_RUNNING_TOO_LONG", Retry, "query_timeout"),
    (400, "FUNCTIONALITY_NOT_ENABLED", Broken, "not_enabled"),
    (400, "InvalidJob", Broken, "not_found"),
    (400, "InvalidVersion", Broken, "api_version"),
    (400, "FeatureNotEnabled", Broken, "bulk_unsupported"),
    (400, "LOGIN_MUST_USE_SECURITY_TOKEN", Broken, "login_address"),
    (400, "LOGIN_DURING_RESTRICTED_DOMAIN", Broken, "login_address"),
    (400, "LOGIN_DURING_RESTRICTED_TIME", Broken, "login_address"),
    (400, "INACTIVE_OWNER_OR_USER", Reauthorize, "inactive_user"),
    (400, "PASSWORD_LOCKOUT", Reauthorize, "user_locked"),
    (400, "INVALID_OPERATION_WITH_EXPIRED_PASSWORD", Reauthorize, "password_expired"),
    (403, "CLIENT_NOT_ACCESSIBLE_FOR_USER", Reauthorize, "user_not_approved"),
    (400, "UNABLE_TO_LOCK_ROW", Retry, "vendor_busy"),
    (410, "GONE", Broken, "api_version"),
    (410, "", Broken, "api_version"),
    (414, "", Broken, "request_too_long"),
    (431, "", Broken, "request_too_long"),
    (400, "MALFORMED_QUERY", Broken, "malformed_query"),
    (400, "INVALID_FIELD", Broken, "invalid_field"),
    (400, "INVALID_TYPE", Broken, "invalid_type"),
    (400, "INVALID_QUERY_LOCATOR", Retry, "query_locator_expired"),
    (400, "QUERY_TIMEOUT", Retry, "query_timeout"),
    (400, "TXN_SECURITY_METERING_ERROR", Retry, "security_metering"),
    (400, "INVALIDENTITY", Broken, "bulk_unsupported"),
    (401, "INVALID_SESSION_ID", Reauthorize, "session_refused"),
    (403, "REQUEST_LIMIT_EXCEEDED", Defer, "api_quota"),
    (403, "API_DISABLED_FOR_ORG", Reauthorize, "api_disabled"),
    (403, "API_CURRENTLY_DISABLED", Reauthorize, "api_disabled"),
    (403, "INSUFFICIENT_ACCESS", Reauthorize, "insufficient_access"),
    (404, "NOT_FOUND", Broken, "not_found"),
    (406, "", Retry, "vendor_unavailable"),
    (409, "", Broken, "version_mismatch"),
    (420, "", Retry, "vendor_throttled"),
    (429, "", Retry, "vendor_throttled"),
    (500, "", Retry, "vendor_unavailable"),
    (502, "", Retry, "vendor_unavailable"),
    (503, "SERVER_UNAVAILABLE", Retry, "vendor_unavailable"),
    (504, "", Retry, "vendor_unavailable"),
    (400, "SOMETHING_NEW", Broken, "unexpected_answer"),
    (401, "SOMETHING_NEW", Reauthorize, "session_refused"),
    (403, "SOMETHING_NEW", Reauthorize, "forbidden"),
    (418, "", Broken, "unexpected_answer"),
    (599, "SOMETHING_NEW", Retry, "vendor_unavailable"),
]


@pytest.mark.parametrize(("status", "code", "leaf", "ours"), CASES)
def test_an_answer_is_judged_by_whose_turn_it_is(status: int, code: str, leaf: type[SyncFault], ours: str) -> None:
    body = json.dumps([{"errorCode": code, "message": SECRET_TEXT}]).encode() if code else b"<html>sorry</html>"
    fault = fault_of(status, body, NOW)
    assert type(fault) is leaf
    assert fault.code == ours
    assert str(code or status) in fault.sentence
    assert fault.next_step
    assert "kim" not in repr(fault)


def test_the_quota_pause_is_stated_to_the_minute() -> None:
    fault = fault_of(403, b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]', NOW)
    assert isinstance(fault, Defer)
    assert fault.until == datetime(2026, 1, 15, 10, 31, tzinfo=UTC)
    assert timedelta(hours=1) <= fault.until - NOW <= timedelta(hours=1, minutes=1)
    assert "10:31 UTC" in fault.next_step


def test_a_missing_field_is_named_when_its_name_is_a_name() -> None:
    text = "SELECT Foo__c FROM Account\\n ERROR at Row:1\\nNo such column 'Foo__c' on entity 'Account'. If you"
    fault = fault_of(400, f'[{{"errorCode":"INVALID_FIELD","message":"{text}"}}]'.encode(), NOW)
    assert "Account.Foo__c" in fault.sentence
    hostile = fault_of(
        400, b'[{"errorCode":"INVALID_FIELD","message":"No such column \'a b<script>\' on entity \'X\'"}]', NOW
    )
    assert "script" not in hostile.sentence


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"[1]", b'"x"', b'{"errorCode":7}', b'[{"errorCode":"has space"}]', b"\xff", b"{"],
)
def test_an_unusable_body_has_no_code(body: bytes) -> None:
    assert error_code(body) == ""


def test_every_oauth_error_has_its_leaf() -> None:
    expected = {
        "invalid_grant": Reauthorize,
        "inactive_user": Reauthorize,
        "inactive_org": Reauthorize,
        "access_denied": Reauthorize,
        "invalid_scope": Broken,
        "redirect_uri_mismatch": Broken,
        "unsupported_grant_type": Broken,
        "invalid_request": Broken,
        "invalid_client": Broken,
        "invalid_client_id": Broken,
        "invalid_client_credentials": Broken,
        "invalid_app_access": Reauthorize,
        "unauthorized_client": Broken,
        "login_rate_exceeded": Retry,
        "server_error": Retry,
        "temporarily_unavailable": Retry,
        "rate_limit_exceeded": Retry,
        "unknown_error": Retry,
    }
    assert set(expected) == set(OAUTH)
    for code, leaf in expected.items():
        body = json.dumps({"error": code, "error_description": SECRET_TEXT}).encode()
        fault = oauth_fault_of(400, body, NOW)
        assert type(fault) is leaf
        assert "kim" not in repr(fault)


def test_an_unknown_login_answer_is_judged_by_its_status() -> None:
    assert isinstance(oauth_fault_of(503, b"<html>", NOW), Retry)
    assert isinstance(oauth_fault_of(400, b"<html>", NOW), Broken)


def test_every_rule_gives_a_whole_sentence() -> None:
    worded = (one.rule for one in (*BY_WORDING, *OAUTH_BY_WORDING))
    for rule in (*BY_CODE.values(), *OAUTH.values(), *worded):
        sentence = rule.fault("Salesforce", 400, "acme", NOW).sentence
        assert re.fullmatch(r"Salesforce [a-z].*[^.] \(400\)\.", sentence), sentence


@pytest.mark.parametrize("table", [BY_WORDING, OAUTH_BY_WORDING], ids=["calls", "logins"])
def test_a_code_with_several_meanings_is_told_apart_by_its_words_which_are_not_passed_on(
    table: tuple[Wording, ...],
) -> None:
    for one in table:
        said = f"{one.example} kim@example.test"
        body = {"error": one.code, "errorCode": one.code, "message": said, "error_description": said}
        fault = (fault_of if table is BY_WORDING else oauth_fault_of)(400, json.dumps(body).encode(), NOW)
        assert (type(fault), fault.code) == (one.rule.leaf, one.rule.code)
        assert "kim" not in repr(fault)


@pytest.mark.parametrize(
    ("said", "leaf", "ours"),
    [
        ("TotalRequests Limit exceeded.", Defer, "api_quota"),
        ("ConcurrentRequests (Concurrent API Requests) Limit exceeded.", Retry, "too_many_at_once"),
        ("ConcurrentPerOrgLongTxn Limit exceeded.", Retry, "too_many_at_once"),
        ("ConcurrentPerOrgLongTxn limit exceeded", Retry, "too_many_at_once"),
        (None, Defer, "api_quota"),
        (7, Defer, "api_quota"),
    ],
)
def test_too_many_calls_at_once_are_not_told_as_the_days_quota(said: object, leaf: type[SyncFault], ours: str) -> None:
    body = json.dumps([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": said}]).encode()
    fault = fault_of(403, body, NOW)
    assert (type(fault), fault.code) == (leaf, ours)


@pytest.mark.parametrize(
    "said",
    [
        "ip restricted",
        "IP restricted or invalid login hours",
        "IP not allowed",
        "request from an IP address outside the allowlist",
        "source IP is not in the allow list",
        "invalid login hours",
    ],
)
def test_a_refused_address_does_not_read_connect_again(said: str) -> None:
    fault = oauth_fault_of(400, json.dumps({"error": "invalid_grant", "error_description": said}).encode(), NOW)
    assert (type(fault), fault.code) == (Broken, "login_address")
    assert "Refresh Token IP Allowlist" in fault.next_step
    assert "connect" not in fault.next_step.lower().replace("the connection stays", "")


@pytest.mark.parametrize(
    "said", ["expired access/refresh token", "token validity expired", "token was inactive too long", None]
)
def test_an_ended_grant_names_the_five_logins_of_a_user(said: str | None) -> None:
    fault = oauth_fault_of(400, json.dumps({"error": "invalid_grant", "error_description": said}).encode(), NOW)
    assert (type(fault), fault.code) == (Reauthorize, "grant_revoked")
    assert "five logins" in fault.next_step
    assert "Connect Salesforce again" in fault.next_step


def test_only_what_a_developer_alone_can_mend_is_sent_to_a_developer() -> None:
    sent = {code for code, rule in {**BY_CODE, **OAUTH}.items() if "developer" in rule.next_step}
    assert sent == {
        "MALFORMED_QUERY",
        "EXCEEDED_ID_LIMIT",
        "INVALIDENTITY",
        "unsupported_grant_type",
        "invalid_request",
    }
