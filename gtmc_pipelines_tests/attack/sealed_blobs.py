"""Attacks on sealed secrets: altered, cut, spelt otherwise, moved to another place, passed off as another format."""

from __future__ import annotations

import base64
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random

from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.vault.keyring import KeyRing, SealContext
from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.stage import Stage

_CHARACTERS = string.ascii_letters + string.digits + "-_=+/. \n\0é"


class Sealed:
    """A sealed text, the place it is opened at, and what the attacker has besides: a neighbour's, the older format."""

    def __init__(self, dice: Random, ring: KeyRing, older: KeyRing) -> None:
        tenants = ("acme", "acme-1", "globex", "")
        self.ring, self.older = ring, older
        self.place = SealContext(dice.choice(tenants[:2]), f"c-{dice.randrange(9)}", dice.choice(("api_key", "token")))
        self.secret = "".join(dice.choices(string.printable, k=dice.randrange(12, 200)))
        self.text = ring.seal(self.secret, self.place)
        self.neighbour = ring.seal("neighbour-" + self.secret, replace(self.place, tenant_id="globex"))

    @property
    def body(self) -> bytes:
        """Nonce, ciphertext and tag, without the packing."""
        text = self.text.rpartition(".")[2]
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _packed(sealed: Sealed, body: bytes) -> str:
    """A body in the newer format's packing, its key's name kept."""
    return sealed.text.rpartition(".")[0] + "." + base64.urlsafe_b64encode(body).decode().rstrip("=")


def _flip_bits(dice: Random, sealed: Sealed) -> None:
    body = bytearray(sealed.body)
    for _ in range(dice.choice((1, 1, 1, 2, 8))):
        body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
    sealed.text = _packed(sealed, bytes(body))


def _respell(dice: Random, sealed: Sealed) -> None:
    position = dice.randrange(len(sealed.text))
    sealed.text = sealed.text[:position] + dice.choice(_CHARACTERS) + sealed.text[position + dice.randrange(2) :]


def _cut(dice: Random, sealed: Sealed) -> None:
    length = dice.randrange(len(sealed.text))
    sealed.text = sealed.text[:length] if dice.random() < 0.5 else sealed.text[length + 1 :]


def _cut_body(dice: Random, sealed: Sealed) -> None:
    sealed.text = _packed(sealed, sealed.body[: dice.randrange(len(sealed.body))])


def _lengthen(dice: Random, sealed: Sealed) -> None:
    more = "".join(dice.choices(_CHARACTERS, k=dice.randrange(1, 5)))
    sealed.text = dice.choice((more + sealed.text, sealed.text + more))


def _shuffle_parts(dice: Random, sealed: Sealed) -> None:
    body = sealed.body
    parts = [body[:12], body[12:-16], body[-16:]]
    dice.shuffle(parts)
    sealed.text = _packed(sealed, b"".join(parts))


def _move(dice: Random, sealed: Sealed) -> None:
    place = sealed.place
    sealed.place = dice.choice(
        (
            replace(place, tenant_id="globex"),
            replace(place, connector_id="c-other"),
            replace(place, field="refresh_token"),
            replace(place, tenant_id=place.tenant_id + place.connector_id, connector_id=""),
            replace(place, connector_id=place.connector_id + place.field, field=""),
            SealContext(place.connector_id, place.tenant_id, place.field),
            SealContext("", "", ""),
        )
    )


def _swap_halves(dice: Random, sealed: Sealed) -> None:
    mine, theirs = sealed.text, sealed.neighbour
    cut = dice.randrange(14, min(len(mine), len(theirs)))
    sealed.text = dice.choice((mine[:cut] + theirs[cut:], theirs[:cut] + mine[cut:], theirs))


def _name_another_key(dice: Random, sealed: Sealed) -> None:
    others = [*sealed.ring.key_ids, "0" * 8, "f" * 8, "", "../../..", sealed.ring.key_ids[0].upper()]
    now = sealed.text.split(".")[1]
    sealed.text = sealed.text.replace(now, dice.choice([name for name in others if name != now]), 1)


def _as_the_older_format(dice: Random, sealed: Sealed) -> None:
    """The newer format's bytes, in the order of the older: were the key the same, no place would bind them."""
    body = sealed.body
    orders = (body[:12] + body[-16:] + body[12:-16], body, body[12:] + body[:12])
    sealed.text = base64.b64encode(dice.choice(orders)).decode()


def _older_as_newer(dice: Random, sealed: Sealed) -> None:
    raw = base64.b64decode(sealed.older.seal(sealed.secret, sealed.place))
    body = dice.choice((raw, raw[:12] + raw[28:] + raw[12:28]))
    sealed.text = f"gtmc2.{dice.choice(sealed.ring.key_ids)}.{base64.urlsafe_b64encode(body).decode().rstrip('=')}"


def _older_altered(dice: Random, sealed: Sealed) -> None:
    raw = bytearray(base64.b64decode(sealed.older.seal(sealed.secret, sealed.place)))
    if dice.random() < 0.3:
        sealed.text = base64.b64encode(bytes(raw[: dice.randrange(len(raw))])).decode()
        return
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    sealed.text = base64.b64encode(bytes(raw)).decode()


def _of_a_stranger(dice: Random, sealed: Sealed) -> None:
    stranger = KeyRing(dice.randbytes(32), write_format=dice.choice(("v1", "v2")))
    sealed.text = stranger.seal(sealed.secret, sealed.place)
    if sealed.text.startswith("gtmc2.") and dice.random() < 0.5:
        sealed.text = sealed.text.replace(stranger.key_ids[0], sealed.ring.key_ids[0])


_FORMS = (
    *(_flip_bits, _respell, _cut, _cut_body, _lengthen, _shuffle_parts, _move, _swap_halves, _name_another_key),
    *(_as_the_older_format, _older_as_newer, _older_altered, _of_a_stranger),
)


class BlobAttack:
    """Alters a fresh blob and opens it where the altered one would be found."""

    def __init__(self) -> None:
        key, retired = bytes(range(32)), bytes(range(32, 64))
        self.ring, self._older = KeyRing(key, [retired]), KeyRing(key, write_format="v1")

    def attempt(self, dice: Random) -> Tried:
        """One altered blob."""
        alter, sealed = dice.choice(_FORMS), Sealed(dice, self.ring, self._older)
        form, before = alter.__name__.strip("_").replace("_", " "), (sealed.text, sealed.place)
        alter(dice, sealed)
        if (sealed.text, sealed.place) == before:  # the dice have changed nothing
            sealed.text += "x"
        try:
            opened = self.ring.open(sealed.text, sealed.place)
        except GtmcError as error:
            said = f"{error!r} {error.__cause__}"
            told = sealed.secret in said or sealed.text[-24:] in said
            return Tried(form, "the error repeats what was sealed" if told and len(sealed.text) > 24 else None)
        return Tried(form, f"it opened, {'with' if opened.reveal() == sealed.secret else 'not with'} its secret")

    def aftermath(self) -> list[str]:
        """None: nothing is stored."""
        return []


@contextmanager
def _opened(_stage: Stage) -> Iterator[BlobAttack]:
    yield BlobAttack()


KIND = Kind("blobs", "an altered or moved sealed secret opens", 10_000, 600, _opened)
