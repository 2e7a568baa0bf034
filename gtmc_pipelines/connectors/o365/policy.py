"""What may be kept of a mailbox: allowed external domains, and nothing at all beyond the constant selection.

Rules, none of which can be switched off: an empty allowlist keeps nothing; the tenant's own domains are
never external; everything that isn't kept is only counted; an answer that carries content of a message
is a privacy fault (reference/domain.md, section 4.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from gtmc_pipelines.model.addresses import host_of
from gtmc_pipelines.model.domains import plain_domain
from gtmc_pipelines.model.errors import Broken

SELECTED = (
    "id",
    "internetMessageId",
    "conversationId",
    "receivedDateTime",
    "sentDateTime",
    "sender",
    "from",
    "toRecipients",
    "ccRecipients",
)
"""The constant `$select` of every mail call. Never a subject, never a body."""

FORBIDDEN = frozenset(
    {
        "subject",
        "body",
        "bodypreview",
        "uniquebody",
        "attachments",
        "extensions",
        "internetmessageheaders",
        "singlevalueextendedproperties",
        "multivalueextendedproperties",
    }
)
"""Members, in lower case, whose mere presence stops the sync."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The tenant's allowlist and its own domains, in plain form (`model.domains`)."""

    allowed: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()

    @classmethod
    def of(cls, options: Mapping[str, object]) -> Policy:
        """From the options `allowed_domains` and `own_domains`. Missing ones are empty: nothing is kept."""
        return cls(_domains(options.get("allowed_domains")), _domains(options.get("own_domains")))

    @property
    def keeps_nothing(self) -> bool:
        """True when no message can be kept, so that none needs to be asked for."""
        return not any(self._is_external(domain) for domain in self.allowed)

    @property
    def fingerprint(self) -> str:
        """Changes with the lists: a stored position made under other lists is not gone on with."""
        text = "\0".join([*sorted(self.allowed), "", *sorted(self.own)])
        return blake2b(text.encode(), digest_size=8).hexdigest()

    def with_own(self, domains: Iterable[str]) -> Policy:
        """The same with more domains that are the tenant's own."""
        return Policy(self.allowed, self.own | _domains(list(domains)))

    def is_allowed(self, address: str) -> bool:
        """Whether this participant may be kept: on an allowed domain that isn't the tenant's own."""
        host = host_of(address)
        return host in self.allowed and self._is_external(host)

    def is_own(self, address: str) -> bool:
        """Whether this address is on a domain of the tenant, or below one."""
        host = host_of(address)
        return host is not None and not self._is_external(host)

    def _is_external(self, domain: str) -> bool:
        return not any(domain == own or domain.endswith("." + own) for own in self.own)


def refuse_content(members: Iterable[str]) -> None:
    """Raise Broken `privacy_fault` when a message carries content, whoever its participants are.

    The sentence names the member only when it is one of the known ones; never its value.
    """
    for name in members:
        bare = name.partition("@")[0].lower()
        if bare in FORBIDDEN:
            raise Broken(
                "privacy_fault",
                f"Microsoft Graph sent {bare!r} of a message although it was not asked for; nothing of that page "
                "was kept, and the sync was stopped.",
                next_step="Report this at once; the app must have no mail permission but Mail.ReadBasic.All.",
            )


def _domains(value: object) -> frozenset[str]:
    given = value if isinstance(value, list | tuple | set | frozenset) else ()
    return frozenset(domain for domain in (plain_domain(str(each)) for each in given) if domain)
