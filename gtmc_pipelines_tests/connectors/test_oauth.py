"""A state is good once, for one connector, for ten minutes, and only unaltered."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from gtmc_pipelines.connectors.oauth import Pkce, StateSigner
from gtmc_pipelines.model.errors import Misuse

NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


class _Memory:
    def __init__(self) -> None:
        self.open: dict[bytes, datetime] = {}

    def remember(self, nonce_hash: bytes, expires_at: datetime) -> None:
        self.open[nonce_hash] = expires_at

    def consume(self, nonce_hash: bytes, now: datetime) -> bool:
        return self.open.pop(nonce_hash, None) is not None


@pytest.fixture
def signer() -> StateSigner:
    return StateSigner(b"k" * 32, _Memory())


def _refusal(signer: StateSigner, state: str, tenant: str = "acme", connector: str = "c-1", minutes: float = 1) -> str:
    with pytest.raises(Misuse) as caught:
        signer.redeem(state, tenant, connector, NOW + timedelta(minutes=minutes))
    return caught.value.code


def test_a_fresh_state_is_accepted_once(signer: StateSigner) -> None:
    state = signer.issue("acme", "c-1", NOW)
    signer.redeem(state, "acme", "c-1", NOW + timedelta(minutes=9, seconds=59))
    assert _refusal(signer, state) == "oauth_state_used"


def test_a_state_of_ten_minutes_is_expired(signer: StateSigner) -> None:
    assert _refusal(signer, signer.issue("acme", "c-1", NOW), minutes=10) == "oauth_state_expired"


@pytest.mark.parametrize(("tenant", "connector"), [("other", "c-1"), ("acme", "c-2")])
def test_a_state_of_another_connector_is_refused(signer: StateSigner, tenant: str, connector: str) -> None:
    assert _refusal(signer, signer.issue("acme", "c-1", NOW), tenant, connector) == "oauth_state_foreign"


def test_no_altered_character_is_accepted(signer: StateSigner) -> None:
    state = signer.issue("acme", "c-1", NOW)
    for position, character in enumerate(state):
        altered = state[:position] + ("A" if character != "A" else "B") + state[position + 1 :]
        assert _refusal(signer, altered) == "oauth_state_altered"
    signer.redeem(state, "acme", "c-1", NOW)


@pytest.mark.parametrize("state", ["", ".", "x", "x.y", "é.ü", "e30.", "a" * 10_000])
def test_junk_is_refused_as_altered(signer: StateSigner, state: str) -> None:
    assert _refusal(signer, state) == "oauth_state_altered"


def test_another_key_signs_nothing_for_us(signer: StateSigner) -> None:
    foreign = StateSigner(b"x" * 32, signer.memory).issue("acme", "c-1", NOW)
    assert _refusal(signer, foreign) == "oauth_state_altered"


def test_the_memory_never_sees_the_nonce() -> None:
    memory = _Memory()
    state = StateSigner(b"k" * 32, memory).issue("acme", "c-1", NOW)
    assert all(len(key) == 32 and key.hex() not in state for key in memory.open)
    assert list(memory.open.values()) == [NOW + timedelta(minutes=10)]


def test_pkce_is_the_hash_of_its_verifier() -> None:
    pkce = Pkce.fresh()
    verifier = pkce.verifier.reveal()
    assert 43 <= len(verifier) <= 128
    digest = hashlib.sha256(verifier.encode()).digest()
    assert pkce.challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert Pkce.fresh().challenge != pkce.challenge
    assert verifier not in repr(pkce)


def test_pkce_of_the_specification() -> None:
    pkce = Pkce.of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert pkce.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    with pytest.raises(ValueError):
        Pkce.of("short")
