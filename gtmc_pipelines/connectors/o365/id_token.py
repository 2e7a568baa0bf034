"""Who signed in at a directory's own login: an id token, checked by ourselves.

msal leaves id tokens unchecked, by its own words. What must hold ("ID token claims reference", "Secure applications and
APIs by validating claims"): RS256 by a key of that directory, made for our app, by the issuer of the directory in
`tid`, with the nonce of this very login, not expired. `name` and `preferred_username` are for people to read only.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from gtmc_pipelines.model.errors import Reauthorize

PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The directory of personal accounts ("ID token claims reference", `tid`)."""
MAY_CONSENT = frozenset({"62e90394-69f5-4237-9190-012177145e10", "e8611ab8-c189-46e8-94e1-60213ab1f814"})
"""Template ids of Global Administrator and Privileged Role Administrator: who may consent to application permissions.

"Microsoft Entra built-in roles"; Cloud Application Administrators may consent to all but Graph's own.
"""

_LEEWAY_SECONDS = 120
_MOST_BYTES = 16 * 1024
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}\.)+[a-z0-9-]{2,63}")
_START_AGAIN = "Start again with `gtmc connectors connect`."


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed in: the directory (lower-case id), its domain as far as it is told, and directory roles there."""

    directory: str
    domain: str
    roles: frozenset[str]
    is_guest: bool


def directory_named_in(token: str) -> str:
    """The directory a token says it is of, to fetch that one's keys; nothing is proven by it. Raises Reauthorize."""
    try:
        claims = jwt.decode_complete(_bounded(token), options={"verify_signature": False})["payload"]
    except jwt.PyJWTError:
        raise _refused() from None
    return _directory(claims)


def checked(token: str, keys: Mapping[str, Any], *, login_url: str, audience: str, nonce: str) -> Signer:
    """The signer an id token proves. `keys` is the key set of the directory it names (RFC 7517).

    Raises Reauthorize: `id_token_refused` for any token that isn't good, one code for all; `personal_account`.
    """
    directory = directory_named_in(token)
    try:
        claims = jwt.decode(
            token,
            _key(token, keys),
            algorithms=["RS256"],
            audience=audience,
            issuer=f"{login_url}/{directory}/v2.0",
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "nbf", "iss", "aud", "sub", "tid", "oid", "nonce"], "strict_aud": True},
        )
    except (jwt.PyJWTError, TypeError, ValueError):
        raise _refused() from None
    told = claims["nonce"]
    if not isinstance(told, str) or not hmac.compare_digest(told.encode(), nonce.encode()):
        raise _refused()
    return _signer(directory, claims)


def require_administrator(signer: Signer, extra_role: str = "") -> None:
    """Raise Reauthorize `not_an_administrator` unless the signer's directory roles allow a consent.

    `extra_role` is the template id of one more role. Being a member of the directory, or its guest, proves nothing.
    """
    if signer.roles & (MAY_CONSENT | ({extra_role.lower()} if extra_role else set())):
        return
    who = "A guest of the directory" if signer.is_guest else "Somebody"
    raise Reauthorize(
        "not_an_administrator",
        f"{who} signed in who holds no role there that may consent for the organization.",
        next_step="Sign in as Global Administrator or Privileged Role Administrator (a role of PIM must be active). If "
        "one did, the operator sets groupMembershipClaims to DirectoryRole for the app, so that tokens tell roles.",
    )


def _signer(directory: str, claims: Mapping[str, Any]) -> Signer:
    issuer = claims["iss"]
    is_guest = claims.get("acct") == 1 or claims.get("idp", issuer) != issuer
    roles = claims.get("wids")
    held = (
        frozenset(role.lower() for role in roles if isinstance(role, str)) if isinstance(roles, list) else frozenset()
    )
    name = str(claims.get("preferred_username") or "").rpartition("@")[2].lower()
    return Signer(directory, name if _DOMAIN.fullmatch(name) and not is_guest else "", held, is_guest)


def _key(token: str, keys: Mapping[str, Any]) -> Any:
    """The published key a token names. Raises a PyJWTError when there is none."""
    kid = jwt.get_unverified_header(token).get("kid")
    listed = keys.get("keys")
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and isinstance(kid, str) and entry.get("kid") == kid and entry.get("kty") == "RSA":
            return jwt.PyJWK(entry, algorithm="RS256").key
    raise jwt.InvalidKeyError("no such key")


def _directory(claims: Mapping[str, Any]) -> str:
    directory = claims.get("tid")
    if not isinstance(directory, str) or not _GUID.fullmatch(directory.lower()):
        raise _refused()
    if directory.lower() == PERSONAL:
        raise Reauthorize(
            "personal_account",
            "A personal Microsoft account signed in; it belongs to no organization.",
            next_step="Sign in with an administrator's work account.",
        )
    return directory.lower()


def _bounded(token: str) -> str:
    if len(token) > _MOST_BYTES:
        raise jwt.DecodeError("too long")
    return token


def _refused() -> Reauthorize:
    return Reauthorize(
        "id_token_refused", "Microsoft's login gave no proof of who signed in that holds.", next_step=_START_AGAIN
    )
