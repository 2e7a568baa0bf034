"""What a list request asks for: its parameters read as Fathom's documentation has them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.datastructures import QueryParams

from gtmc_pipelines.sandbox.fathom.meetings import Includes

PAGE = 10
_INCLUDES = ("transcript", "summary", "action_items", "crm_matches", "highlights")


class BadRequest(ValueError):
    """A parameter that can't be understood; the text is for the answer."""


def page_number(asked: QueryParams) -> int:
    """The page a cursor means: a page number under an opaque name. Raises BadRequest."""
    cursor = asked.get("cursor")
    if not cursor:
        return 1
    try:
        number = json.loads(base64.b64decode(cursor, validate=True))["page_num"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise BadRequest("cursor is invalid") from None
    if not isinstance(number, int) or number < 1:
        raise BadRequest("cursor is invalid")
    return number


def cursor_of(page: int) -> str:
    """The cursor of a page."""
    return base64.b64encode(json.dumps({"page_num": page}, separators=(",", ":")).encode()).decode()


def moment(asked: QueryParams, name: str) -> int | None:
    """Unix seconds of a time parameter. Raises BadRequest."""
    text = asked.get(name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{name} must be an ISO 8601 timestamp") from None
    if found.tzinfo is None:
        raise BadRequest(f"{name} needs a time zone")
    return int(found.timestamp())


def includes(asked: QueryParams) -> Includes:
    """The include flags. Raises BadRequest."""
    values = {}
    for name in _INCLUDES:
        text = asked.get(f"include_{name}", "false").lower()
        if text not in ("true", "false"):
            raise BadRequest(f"include_{name} must be true or false")
        values[name] = text == "true"
    return Includes(**values)


@dataclass(frozen=True, slots=True)
class Filters:
    """Any-of filters by recorder, team, invitee domain and type of meeting; empty ones let everything pass."""

    recorders: tuple[str, ...]
    teams: tuple[str, ...]
    domains: tuple[str, ...]
    domains_type: str
    meeting_type: str

    @classmethod
    def of(cls, asked: QueryParams) -> Filters:
        """The filters of a request. Raises BadRequest."""
        domains_type = asked.get("calendar_invitees_domains_type", "all")
        if domains_type not in ("all", "only_internal", "one_or_more_external"):
            raise BadRequest("calendar_invitees_domains_type is invalid")
        recorders, teams, domains = (
            tuple(asked.getlist(f"{name}[]")) for name in ("recorded_by", "teams", "calendar_invitees_domains")
        )
        return cls(recorders, teams, domains, domains_type, asked.get("meeting_type", ""))

    @property
    def is_open(self) -> bool:
        """Whether everything passes."""
        lists = self.recorders or self.teams or self.domains
        return not lists and self.domains_type == "all" and not self.meeting_type

    def accepts(self, meeting: Mapping[str, Any]) -> bool:
        """Whether a meeting passes."""
        owner = meeting["recorded_by"]
        domains = {one["email_domain"] for one in meeting["calendar_invitees"]}
        return (
            (not self.recorders or owner["email"] in self.recorders)
            and (not self.teams or owner["team"] in self.teams)
            and (not self.domains or bool(domains.intersection(self.domains)))
            and self.domains_type in ("all", meeting["calendar_invitees_domains_type"])
            and self.meeting_type in ("", meeting["meeting_type"])
        )
