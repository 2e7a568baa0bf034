"""The key ring: what is sealed opens in its place only, whatever happens to the text in between."""

from __future__ import annotations

import base64
import os
import pickle

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model.errors import Broken, GtmcError, Misuse
from gtmc_pipelines.vault.keyring import KeyRing, SealContext, SealedBy, generate_key_hex, key_id

PLACE = SealContext("acme", "connector-1", "access_token")
KEY, OLD_KEY = bytes(range(32)), bytes(range(32, 64))
RING = KeyRing(KEY)


def legacy(plaintext: str, key: bytes = KEY) -> str:
    """The platform's documented format, written independently of the code under test."""
    iv = os.urandom(12)
    sealed = AESGCM(key).encrypt(iv, plaintext.encode(), None)
    return base64.b64encode(iv + sealed[-16:] + sealed[:-16]).decode()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_as_it_was(plaintext: str) -> None:
    assert RING.open(RING.seal(plaintext, PLACE), PLACE).reveal() == plaintext


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_the_legacy_format(plaintext: str) -> None:
    ring = KeyRing(KEY, write_format="v1")
    sealed = ring.seal(plaintext, PLACE)
    assert not sealed.startswith("gtmc2")
    assert ring.open(sealed, PLACE).reveal() == plaintext


def test_the_sealed_text_names_its_format_and_key_and_nothing_else() -> None:
    prefix, name, body = RING.seal("s3cret-canary", PLACE).split(".")
    assert (prefix, name) == ("gtmc2", key_id(KEY))
    assert "=" not in body
    assert len(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))) == 12 + len("s3cret-canary") + 16


def test_the_same_secret_never_seals_to_the_same_text() -> None:
    assert len({RING.seal("secret", PLACE) for _ in range(100)}) == 100


def test_a_blob_of_the_platforms_older_format_opens() -> None:
    assert RING.open(legacy("from the platform"), PLACE).reveal() == "from the platform"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from([KEY, OLD_KEY]))
def test_a_ring_can_refuse_the_older_format_by_any_of_its_keys(plaintext: str, key: bytes) -> None:
    ring = KeyRing(KEY, [OLD_KEY], reads_v1=False)
    with pytest.raises(Broken) as refused:
        ring.open(legacy(plaintext, key), PLACE)
    assert refused.value.code == "legacy_format_refused"
    assert ring.open(KeyRing(key).seal(plaintext, PLACE), PLACE).reveal() == plaintext


def test_what_we_write_in_the_older_format_the_platform_can_open() -> None:
    body = base64.b64decode(KeyRing(KEY, write_format="v1").seal("ours", PLACE))
    assert AESGCM(KEY).decrypt(body[:12], body[28:] + body[12:28], None) == b"ours"


def test_a_retired_key_opens_both_formats_but_never_seals() -> None:
    ring = KeyRing(KEY, [OLD_KEY])
    assert ring.open(KeyRing(OLD_KEY).seal("a", PLACE), PLACE).reveal() == "a"
    assert ring.open(legacy("b", OLD_KEY), PLACE).reveal() == "b"
    assert ring.seal("c", PLACE).split(".")[1] == key_id(KEY)


@pytest.mark.parametrize(
    "elsewhere",
    [
        SealContext("other", "connector-1", "access_token"),
        SealContext("acme", "connector-2", "access_token"),
        SealContext("acme", "connector-1", "refresh_token"),
        SealContext("acmeconnector", "-1", "access_token"),
        SealContext("", "acmeconnector-1", "access_token"),
    ],
    ids=str,
)
def test_a_blob_moved_elsewhere_does_not_open(elsewhere: SealContext) -> None:
    with pytest.raises(Broken) as caught:
        RING.open(RING.seal("secret", PLACE), elsewhere)
    assert caught.value.code == "sealed_secret_damaged"


@pytest.mark.parametrize("sealed", [RING.seal("canary-secret", PLACE), legacy("canary-secret")], ids=["v2", "v1"])
def test_no_flipped_bit_opens_and_the_error_reveals_nothing(sealed: str) -> None:
    for position in range(len(sealed)):
        for bit in range(7):
            flipped = sealed[:position] + chr(ord(sealed[position]) ^ (1 << bit)) + sealed[position + 1 :]
            with pytest.raises(Broken) as caught:
                RING.open(flipped, PLACE)
            assert caught.value.__cause__ is None
            assert "canary" not in str(caught.value)
            assert sealed[-20:] not in str(caught.value)


@pytest.mark.parametrize("sealed", [RING.seal("canary-secret", PLACE), legacy("canary-secret")], ids=["v2", "v1"])
def test_no_truncation_or_extension_opens(sealed: str) -> None:
    for length in range(len(sealed)):
        with pytest.raises(Broken):
            RING.open(sealed[:length], PLACE)
    for extra in ("A", "=", "==", "\n", ".", "é"):
        with pytest.raises(Broken):
            RING.open(sealed + extra, PLACE)


@given(st.text())
def test_garbage_is_refused_without_any_other_error(text: str) -> None:
    for sealed in (text, "gtmc2." + text, f"gtmc2.{key_id(KEY)}.{text}"):
        with pytest.raises(GtmcError):
            RING.open(sealed, PLACE)


def test_an_unknown_key_is_named_with_the_next_step() -> None:
    with pytest.raises(Broken, match=key_id(OLD_KEY)) as caught:
        RING.open(KeyRing(OLD_KEY).seal("secret", PLACE), PLACE)
    assert caught.value.code == "unknown_sealing_key"
    assert "reconnect" in caught.value.next_step


@pytest.mark.parametrize("bad", ["", "abc", "0" * 63, "0" * 65, "g" * 64, "0" * 64 + "\n", "٠" * 64])
def test_a_key_of_any_other_shape_is_refused_without_repeating_it(bad: str) -> None:
    with pytest.raises(Misuse) as active:
        KeyRing.from_hex(bad)
    assert len(bad) < 4 or bad not in str(active.value)
    if bad.strip() != "0" * 64:
        with pytest.raises(Misuse, match="Retired key 2"):
            KeyRing.from_hex("0" * 64, ["1" * 64, bad])


def test_the_ring_rewrites_only_what_is_not_current() -> None:
    old, new = KeyRing(OLD_KEY), KeyRing(KEY, [OLD_KEY])
    assert new.needs_reseal(old.seal("a", PLACE))
    assert new.needs_reseal(legacy("a"))
    assert not new.needs_reseal(new.seal("a", PLACE))


def test_a_ring_that_writes_the_older_format_rewrites_the_newer_and_old_keys() -> None:
    ring = KeyRing(KEY, [OLD_KEY], write_format="v1")
    assert ring.needs_reseal(RING.seal("a", PLACE))
    assert ring.needs_reseal(legacy("a", OLD_KEY))
    assert not ring.needs_reseal(ring.seal("a", PLACE))


def test_key_ids_list_the_active_key_first_and_each_key_once() -> None:
    assert KeyRing(KEY, [OLD_KEY, KEY]).key_ids == (key_id(KEY), key_id(OLD_KEY))


def test_a_ring_prints_no_key_and_is_never_pickled() -> None:
    assert KEY.hex() not in repr(RING)
    with pytest.raises(TypeError):
        pickle.dumps(RING)


def test_generated_keys_are_accepted_and_differ() -> None:
    first, second = generate_key_hex(), generate_key_hex()
    assert KeyRing.from_hex(first, [second]).key_ids == (
        key_id(bytes.fromhex(first)),
        key_id(bytes.fromhex(second)),
    )


def test_text_that_is_no_unicode_is_refused_without_repeating_it() -> None:
    with pytest.raises(Misuse) as caught:
        RING.seal("canary\ud83d", PLACE)
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_sealed_text_names_its_format_and_key_even_when_the_ring_lacks_it() -> None:
    both, old = KeyRing(KEY, [OLD_KEY]), KeyRing(OLD_KEY)
    assert both.sealed_by(old.seal("x", PLACE)) == SealedBy("v2", key_id(OLD_KEY))
    assert RING.sealed_by(old.seal("x", PLACE)) == SealedBy("v2", key_id(OLD_KEY))
    assert both.sealed_by(legacy("x", OLD_KEY)) == SealedBy("v1", key_id(OLD_KEY))
    assert RING.sealed_by(legacy("x", OLD_KEY)) == SealedBy("v1", None)
    assert RING.writes == SealedBy("v2", key_id(KEY))
    for text in ("gtmc2.nonsense.x", "gtmc2.", "plain"):
        with pytest.raises(Broken):
            RING.sealed_by(text)
