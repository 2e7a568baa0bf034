"""The people of the imitated vendors: their addresses and names, and those whom Office 365's rules keep out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines_tests.acceptance.site import Site
from gtmc_pipelines_tests.journeys.canaries import addresses

_NAME_PARTS = (("FirstName", "LastName"), ("first_name", "last_name"), ("givenName", "surname"))
_WHOLE_NAMES = ("name", "Name", "displayName", "display_name")
_CONTENT = (b"Dear all, about", b"secret number", b"offer.pdf")  # of every body, preview and attachment of the sandbox


@dataclass(frozen=True)
class People:
    """Addresses in lower case by vendor, full names, and what must not be kept of anybody's mail."""

    of: Mapping[ConnectorType, frozenset[bytes]]
    names: frozenset[bytes]
    strangers: frozenset[bytes]
    phrases: frozenset[bytes]
    allowed_domains: frozenset[bytes]
    erased: bytes

    @property
    def addresses(self) -> frozenset[bytes]:
        """Everybody's."""
        return frozenset().union(*self.of.values())

    def names_in(self, content: bytes) -> list[bytes]:
        """Full names that stand in a text, as they are, escaped as in JSON, or in two columns beside each other."""
        content = content.replace(b"\t", b" ")
        return [name for name in self.names if name in content]


def seen_at(sites: Mapping[ConnectorType, Site], erased: str) -> People:
    """The people as the vendors know them now."""
    truths = {kind: list(_records(site)) for kind, site in sites.items()}
    texts = {kind: json.dumps(found, default=str, ensure_ascii=False).encode() for kind, found in truths.items()}
    of = {kind: frozenset(addresses(text)) for kind, text in texts.items()}
    org = sites[ConnectorType.O365].credentials["orgs"]["acme"]
    allowed = frozenset(domain.encode() for domain in org["allowed_domains"])
    others = frozenset().union(*(found for kind, found in of.items() if kind is not ConnectorType.O365))
    mail = {one for one in of[ConnectorType.O365] if not one.endswith(b".mail.example")}  # ids of messages
    subjects = {str(one["subject"]).encode() for one in truths[ConnectorType.O365] if "subject" in one}
    elsewhere = b"".join(text for kind, text in texts.items() if kind is not ConnectorType.O365)
    names = {name.encode() for found in truths.values() for name in _names(found)}
    return People(
        of,
        frozenset(names | {json.dumps(name.decode())[1:-1].encode() for name in names}),
        frozenset(one for one in mail - others if one.rpartition(b"@")[2] not in allowed),
        frozenset(subject for subject in subjects if subject not in elsewhere) | frozenset(_CONTENT),
        allowed,
        erased.encode(),
    )


def _records(site: Site) -> Iterator[Mapping[str, Any]]:
    for kind in site.ask("GET", f"truth?org={site.org}&digest=false")["objects"]:
        yield from site.records(kind)


def _names(value: Any) -> Iterator[str]:
    """Full names of whoever has an address beside it."""
    if isinstance(value, list):
        for each in value:
            yield from _names(each)
    elif isinstance(value, dict):
        if any(isinstance(each, str) and re.fullmatch(r"[^@\s]+@[^@\s]+", each) for each in value.values()):
            found = [" ".join(str(value.get(part) or "") for part in parts) for parts in _NAME_PARTS]
            found += [str(value.get(name) or "") for name in _WHOLE_NAMES]
            yield from (name for name in found if " " in name.strip())
        for each in value.values():
            yield from _names(each)
