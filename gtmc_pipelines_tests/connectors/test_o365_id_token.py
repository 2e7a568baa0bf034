"""An id token proves its directory and its signer, or it is refused: each claim, each header, each key."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines.connectors.o365.id_token import PERSONAL, Signer, checked, require_administrator
from gtmc_pipelines.model.errors import Reauthorize

LOGIN, APP, NONCE = "https://login.microsoftonline.com", "11111111-0000-0000-0000-00000000000a", "n" * 43
OWN, RIVAL = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
GLOBAL, PRIVILEGED = "62e90394-69f5-4237-9190-012177145e10", "e8611ab8-c189-46e8-94e1-60213ab1f814"
KEY, FOREIGN = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
PUBLIC = {**jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k1", "use": "sig"}
KEYS = {"keys": [{**PUBLIC, "kid": "old"}, PUBLIC]}


def _claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "aud": APP,
        "iss": f"{LOGIN}/{OWN}/v2.0",
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "sub": "s",
        "oid": "o",
        "tid": OWN,
        "nonce": NONCE,
        "preferred_username": "ada@acme.example",
        "wids": [GLOBAL],
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


def _token(claims: Mapping[str, Any], key: Any = KEY, alg: str = "RS256", **head: Any) -> str:
    return jwt.encode(dict(claims), key, algorithm=alg, headers={"kid": "k1", **head})


def _checked(token: str, keys: Mapping[str, Any] = KEYS) -> Signer:
    return checked(token, keys, login_url=LOGIN, audience=APP, nonce=NONCE)


def test_a_good_token_tells_directory_roles_and_domain() -> None:
    assert _checked(_token(_claims())) == Signer(OWN, "acme.example", frozenset({GLOBAL}), False)
    for guest in ({"acct": 1}, {"idp": "https://sts.windows.net/x/"}):
        assert _checked(_token(_claims(**guest))) == Signer(OWN, "", frozenset({GLOBAL}), True)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another app"},
        {"aud": [APP, "another"]},
        {"iss": f"{LOGIN}/{RIVAL}/v2.0"},
        {"iss": f"https://evil.example/{OWN}/v2.0"},
        {"iss": f"{LOGIN}/{OWN}/v2.0/"},
        {"iss": f"https://sts.windows.net/{OWN}/"},
        {"tid": RIVAL},
        {"tid": "organizations"},
        {"tid": ["x"]},
        {"tid": f"{OWN}\n"},
        {"nonce": "m" * 43},
        {"nonce": 5},
        {"exp": int(time.time()) - 600},
        {"nbf": int(time.time()) + 6000},
        {"iat": int(time.time()) + 6000},
        *({name: None} for name in ("aud", "iss", "tid", "nonce", "exp", "nbf", "iat", "sub", "oid")),
    ],
)
def test_a_claim_that_is_wrong_or_missing_refuses_it(changes: dict[str, Any]) -> None:
    with pytest.raises(Reauthorize) as raised:
        _checked(_token(_claims(**changes)))
    assert raised.value.code == "id_token_refused"


def test_no_signature_no_foreign_key_and_no_shared_secret_will_do() -> None:
    good = _token(_claims())
    head, body, signature = good.split(".")
    secret = jwt.encode(_claims(), "s" * 32, algorithm="HS256", headers={"kid": "k1"})
    bad = [
        jwt.encode(_claims(), None, algorithm="none", headers={"kid": "k1"}),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{jwt.encode(_claims(tid=RIVAL), KEY, 'RS256').split('.')[1]}.{signature}",
        _token(_claims(), FOREIGN),
        _token(_claims(), KEY, "PS256"),
        _token(_claims(), kid="unknown"),
        _token(_claims(), FOREIGN, jwk={**jwt.algorithms.RSAAlgorithm.to_jwk(FOREIGN.public_key(), as_dict=True)}),
        secret,
        "",
        "a.b.c",
        good + "x" * 20_000,
    ]
    for token in bad:
        with pytest.raises(Reauthorize) as raised:
            _checked(token)
        assert raised.value.code == "id_token_refused"
    for keys in ({}, {"keys": None}, {"keys": [None, {"kid": "k1"}, {"kid": "k1", "kty": "oct", "k": "c2VjcmV0"}]}):
        with pytest.raises(Reauthorize):
            _checked(good, keys)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.integers(0, 2))
def test_any_other_text_in_any_part_is_refused_in_one_way(text: str, place: int) -> None:
    parts = _token(_claims()).split(".")
    parts[place] = text
    with pytest.raises(Reauthorize) as raised:
        _checked(".".join(parts))
    assert raised.value.code == "id_token_refused"


def test_a_personal_account_is_told_so() -> None:
    with pytest.raises(Reauthorize) as raised:
        _checked(_token(_claims(tid=PERSONAL, iss=f"{LOGIN}/{PERSONAL}/v2.0")))
    assert raised.value.code == "personal_account"


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        ([GLOBAL], True),
        ([PRIVILEGED.upper()], True),
        (["x", GLOBAL], True),
        ([], False),
        (None, False),
        (GLOBAL, False),
        ([{"id": GLOBAL}, 5], False),
        (["158c047a-c907-4556-b7ef-446551a6b5f7"], False),  # Cloud Application Administrator
        (["b79fbf4d-3ef9-4689-8143-76b194e85509"], False),  # every member
    ],
)
@pytest.mark.parametrize("guest", [0, 1])
def test_the_role_decides_for_guests_as_for_members(roles: Any, may: bool, guest: int) -> None:
    signer = _checked(_token(_claims(wids=roles, acct=guest)))
    if may:
        require_administrator(signer)
        return
    with pytest.raises(Reauthorize) as raised:
        require_administrator(signer)
    assert raised.value.code == "not_an_administrator"
    with pytest.raises(Reauthorize):
        require_administrator(signer, "another-role")
