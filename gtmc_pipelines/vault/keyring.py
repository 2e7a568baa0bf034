"""The key ring: seals secrets bound to their place, and opens what any key of the ring has sealed.

A sealed secret is `gtmc2.<key-id>.<base64url of nonce ‖ ciphertext ‖ tag>`, AES-256-GCM. Its key is
derived for the tenant, and its associated data name tenant, connector and field: a blob moved
anywhere else does not open. The platform's older format, base64(iv ‖ tag ‖ ciphertext) under the
ring's key itself and bound to nothing, is read until a setting refuses it, and written on demand
(design section 10).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gtmc_pipelines.model.errors import Broken, Misuse
from gtmc_pipelines.vault.secret import Secret

TokenFormat = Literal["v1", "v2"]

PREFIX = "gtmc2"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
_KEY_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class SealedBy:
    """What a sealed text says of itself: its format, and the id of its key.

    The legacy format names no key: the id is that of the ring's key that opens it, None when none does.
    """

    format: TokenFormat
    key_id: str | None


@dataclass(frozen=True, slots=True)
class SealContext:
    """Where a secret lives. The same three words must be given to open it again."""

    tenant_id: str
    connector_id: str
    field: str

    def associated_data(self) -> bytes:
        """Format, tenant, connector and field, each with its length, so that no two places look alike."""
        parts = (PREFIX, self.tenant_id, self.connector_id, self.field)
        return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)


def key_id(key: bytes) -> str:
    """Public name of a key: eight hex characters that tell keys apart and reveal nothing of them."""
    return hashlib.sha256(b"gtmc-pipelines key id v1\x00" + key).hexdigest()[:8]


def generate_key_hex() -> str:
    """A fresh key from the operating system, in the form `CONNECTOR_ENCRYPTION_KEY` takes."""
    return os.urandom(_KEY_BYTES).hex()


class KeyRing:
    """One active key that seals, and retired ones that only open. Safe to share between threads.

    `write_format` v1 writes the platform's older format, for installations whose other app knows
    only that; a ring that isn't `reads_v1` opens nothing of it. Nothing of this object prints a key.
    """

    __slots__ = ("_active", "_keys", "_write_format", "reads_v1")

    def __init__(
        self,
        active: bytes,
        retired: Iterable[bytes] = (),
        write_format: TokenFormat = "v2",
        *,
        reads_v1: bool = True,
    ) -> None:
        keys = (active, *retired)
        if any(len(key) != _KEY_BYTES for key in keys):
            raise _bad_key("A key must be 32 bytes.")
        self._active = key_id(active)
        self._keys = {key_id(key): key for key in reversed(keys)}
        self._write_format = write_format
        self.reads_v1 = reads_v1

    @classmethod
    def from_hex(
        cls,
        active_hex: str,
        retired_hexes: Iterable[str] = (),
        token_format: TokenFormat = "v2",  # noqa: S107 - the name of a format, no password
        *,
        reads_v1: bool = True,
    ) -> KeyRing:
        """A ring from keys as the settings hold them.

        Raises Misuse, without the text, for anything but 64 hex characters.
        """
        retired = [text.strip() for text in retired_hexes]
        names = ["The encryption key", *(f"Retired key {position}" for position in range(1, len(retired) + 1))]
        for name, text in zip(names, [active_hex, *retired], strict=True):
            if not _HEX_KEY.fullmatch(text):
                raise _bad_key(f"{name} must be exactly 64 hex characters (32 bytes).")
        keys = [bytes.fromhex(text) for text in retired]
        return cls(bytes.fromhex(active_hex), keys, token_format, reads_v1=reads_v1)

    def __repr__(self) -> str:
        return f"KeyRing(active={self._active}, keys={len(self._keys)})"

    def __reduce__(self) -> str:
        raise TypeError("a key ring can't be serialized")

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of all keys of the ring, the active one first."""
        return (self._active, *(name for name in self._keys if name != self._active))

    def seal(self, plaintext: str, context: SealContext) -> str:
        """Seal `plaintext` for this place, with a fresh nonce each time."""
        try:
            data = plaintext.encode()
        except UnicodeEncodeError:
            raise Misuse("secret_not_text", "A secret holds characters that are no valid text.") from None
        nonce, key = os.urandom(_NONCE_BYTES), self._keys[self._active]
        if self._write_format == "v1":
            sealed = AESGCM(key).encrypt(nonce, data, None)
            return base64.b64encode(nonce + sealed[-_TAG_BYTES:] + sealed[:-_TAG_BYTES]).decode()
        body = nonce + AESGCM(_tenant_key(key, context.tenant_id)).encrypt(nonce, data, context.associated_data())
        return f"{PREFIX}.{self._active}.{_base64url(body)}"

    def open(self, sealed: str, context: SealContext) -> Secret:
        """The secret sealed for this place, in either format.

        Raises Broken when its key is not on the ring (the id is named), when it is of the older format and
        the ring refuses that, or when it was altered, cut, or sealed for another place (nothing else is said).
        """
        data = self._open_v2(sealed, context) if sealed.startswith(PREFIX + ".") else self._open_v1(sealed)
        try:
            return Secret(data.decode())
        except UnicodeDecodeError:
            raise _damaged() from None

    @property
    def writes(self) -> SealedBy:
        """How this ring seals now."""
        return SealedBy(self._write_format, self._active)

    def sealed_by(self, sealed: str) -> SealedBy:
        """Format and key of a sealed text, whether or not the ring has that key. Raises Broken when it is neither."""
        if sealed.startswith(PREFIX + "."):
            name = sealed.split(".")[1]
            if not _KEY_ID.fullmatch(name):
                raise _damaged()
            return SealedBy("v2", name)
        body = _decode_v1(sealed)
        return SealedBy(
            "v1", next((name for name in self.key_ids if _decrypt_v1(self._keys[name], body) is not None), None)
        )

    def needs_reseal(self, sealed: str) -> bool:
        """True when sealing again would change format or key: the work list of a rotation."""
        if self._write_format == "v2":
            return not sealed.startswith(f"{PREFIX}.{self._active}.")
        if sealed.startswith(PREFIX + "."):
            return True
        body = _decode_v1(sealed)
        return _decrypt_v1(self._keys[self._active], body) is None

    def _open_v2(self, sealed: str, context: SealContext) -> bytes:
        _, _, rest = sealed.partition(".")
        name, _, text = rest.partition(".")
        if not _KEY_ID.fullmatch(name):
            raise _damaged()
        key = self._keys.get(name)
        if key is None:
            raise Broken(
                "unknown_sealing_key",
                f"A stored secret was sealed with key {name}, which is not on the key ring.",
                next_step="Add that key to CONNECTOR_ENCRYPTION_KEYS_RETIRED, or reconnect the connector.",
            )
        body = _canonical_base64url(text)
        cipher = AESGCM(_tenant_key(key, context.tenant_id))
        try:
            return cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], context.associated_data())
        except (InvalidTag, ValueError):
            raise _damaged() from None

    def _open_v1(self, sealed: str) -> bytes:
        body = _decode_v1(sealed)
        if not self.reads_v1:
            raise Broken(
                "legacy_format_refused",
                "A stored secret is in the platform's older format, which GTMC_TOKEN_FORMAT=v2-only refuses.",
                next_step="If you know who wrote it: set GTMC_TOKEN_FORMAT to v2, run `gtmc keys rotate`, then set "
                "v2-only again. If you don't, connect the connector again.",
            )
        for name in self.key_ids:
            data = _decrypt_v1(self._keys[name], body)
            if data is not None:
                return data
        raise _damaged()


@lru_cache(maxsize=4096)
def _tenant_key(key: bytes, tenant_id: str) -> bytes:
    """A key per tenant, so that one that leaks opens one tenant only."""
    info = b"gtmc-pipelines tenant key v1\x00" + tenant_id.encode()
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(key)


def _decrypt_v1(key: bytes, body: bytes) -> bytes | None:
    nonce, tag = body[:_NONCE_BYTES], body[_NONCE_BYTES : _NONCE_BYTES + _TAG_BYTES]
    try:
        return AESGCM(key).decrypt(nonce, body[_NONCE_BYTES + _TAG_BYTES :] + tag, None)
    except InvalidTag:
        return None


def _decode_v1(sealed: str) -> bytes:
    try:
        body = base64.b64decode(sealed.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise _damaged() from None
    if len(body) < _NONCE_BYTES + _TAG_BYTES or base64.b64encode(body).decode() != sealed:
        raise _damaged()
    return body


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _canonical_base64url(text: str) -> bytes:
    """Decode, refusing every spelling but the one we write: unused bits must not hide a change."""
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise _damaged() from None
    if len(data) < _NONCE_BYTES + _TAG_BYTES or _base64url(data) != text:
        raise _damaged()
    return data


def _damaged() -> Broken:
    return Broken(
        "sealed_secret_damaged",
        "A stored secret does not open: it was altered, moved, or sealed with a key that is gone.",
        next_step="Restore the key it was sealed with, or reconnect the connector.",
    )


def _bad_key(sentence: str) -> Misuse:
    return Misuse("bad_encryption_key", sentence, next_step="Make one with: gtmc keys generate")
