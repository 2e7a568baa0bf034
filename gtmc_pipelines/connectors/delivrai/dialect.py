"""What a connector can be told about Delivr.ai: host, headers, paths and keys of both contracts in one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings
from gtmc_pipelines.connectors.host_guard import checked_url
from gtmc_pipelines.connectors.options import Option, SandboxHosts, https_url, matching, whole_number
from gtmc_pipelines.model.errors import Broken

INTERNAL, PUBLIC = "internal", "public"
OWN_HOSTS = frozenset({"api.delivr.ai"})

_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,63}"
_PATH = r"(/[A-Za-z0-9._~-]{1,64}){1,8}"
_ID = r"[A-Za-z0-9._:-]{1,100}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one installation of Delivr.ai is spoken to; every attribute is an option of the same name."""

    profile: str = INTERNAL
    base_url: str = "https://api.delivr.ai"
    key_header: str = "X-Api-Key"
    secret_header: str = "X-Api-Secret"  # noqa: S105 - a header's name
    health_path: str = "/v1/health"
    signals_path: str = "/v1/intent-signals"
    enrichment_path: str = "/v1/company-enrichment"
    list_key: str = ""
    cursor_key: str = "nextCursor"
    cursor_parameter: str = "cursor"
    since_parameter: str = "since"
    until_parameter: str = ""
    limit: int = 100
    first_days: int = 90
    lookback_hours: int = 24
    window_hours: int = 24
    requests_per_second: int = 25
    parallel: int = 8
    project_id: str = ""
    pixel_id: str = ""
    topic_id: str = ""
    audience_id: str = ""

    @property
    def is_public(self) -> bool:
        """Whether the vendor's public API is spoken: key and secret, other paths."""
        return self.profile == PUBLIC

    @property
    def window(self) -> timedelta:
        """Length of one window of signals, where they can be asked for by windows."""
        return timedelta(hours=self.window_hours)

    @property
    def has_windows(self) -> bool:
        """Whether signals can be asked for with an upper bound, and so several windows at once."""
        return self.is_public or bool(self.until_parameter)

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"{self.base_url}{path}"


_PUBLIC = Dialect(
    profile=PUBLIC,
    health_path="/api/v1/whoami",
    signals_path="/api/v1/events",
    enrichment_path="/api/v1/intent/companies",
    cursor_key="next_cursor",
)


def _profile(text: str, _: SandboxHosts) -> str:
    if text not in (INTERNAL, PUBLIC):
        raise ValueError(f"must be {INTERNAL} or {PUBLIC}")
    return text


_PATH_TEXT = matching(_PATH, "a path like /v1/health")
_NAME_TEXT = matching(_NAME, "one plain name")
_ID_TEXT = matching(_ID, "an id as Delivr.ai shows it")

OPTIONS = (
    Option("profile", "internal: the platform's own contract; public: the vendor's public API", _profile),
    Option("base_url", "Address of the API", https_url),
    Option("key_header", "Header that carries the key", _NAME_TEXT),
    Option("secret_header", "Header that carries the secret (public)", _NAME_TEXT),
    Option("health_path", "Path that proves the key", _PATH_TEXT),
    Option("signals_path", "Path of intent signals (public: of events)", _PATH_TEXT),
    Option("enrichment_path", "Path of company enrichment", _PATH_TEXT),
    Option("list_key", "Key of the records in a page; unset: data, items, signals or results", _NAME_TEXT),
    Option("cursor_key", "Key of the next page's cursor in a page", _NAME_TEXT),
    Option("cursor_parameter", "Query parameter that takes it", _NAME_TEXT),
    Option("since_parameter", "Query parameter of the lower time bound", _NAME_TEXT),
    Option("until_parameter", "Query parameter of an upper time bound, if there is one", _NAME_TEXT),
    Option("limit", "Records a page", whole_number(1, 5_000)),
    Option("first_days", "Days a full sync reaches back", whole_number(1, 3_650)),
    Option("lookback_hours", "Hours read again for signals that arrive late", whole_number(0, 2_400)),
    Option("window_hours", "Hours of one window of events (the vendor's ceiling is 25)", whole_number(1, 25)),
    Option("requests_per_second", "Pace; the vendor allows 25 a second", whole_number(1, 1_000)),
    Option("parallel", "Windows read at the same time", whole_number(1, 8)),
    Option("project_id", "Project whose events are read (public)", _ID_TEXT),
    Option("pixel_id", "Pixel whose events are read (public)", _ID_TEXT),
    Option("topic_id", "Topic whose companies enrich accounts (public)", _ID_TEXT),
    Option("audience_id", "Audience whose records enrich accounts (public); wins over topic_id", _ID_TEXT),
)


def addresses(settings: ConnectorSettings) -> Mapping[str, str]:
    """The one URL that key and secret are sent to."""
    return {"base_url": str(settings.options.get("base_url") or Dialect().base_url)}


def dialect_of(options: Mapping[str, Any], sandbox_hosts: SandboxHosts = frozenset()) -> Dialect:
    """The profile's own values with the options given over them. Raises Broken for a value that can't be."""
    profile = options.get("profile", INTERNAL)
    base = _PUBLIC if profile == PUBLIC else Dialect()
    names = {field.name for field in fields(Dialect)}
    given = {name: value for name, value in options.items() if name in names and value not in (None, "")}
    parsers = {option.name: option.parse for option in OPTIONS}
    checked: dict[str, Any] = {}
    for name, value in given.items():
        try:
            checked[name] = parsers[name](str(value), sandbox_hosts)
        except ValueError as error:
            raise Broken("bad_option", f"The option {name} {error}.", next_step="Correct it and sync again.") from None
    checked_url(checked.get("base_url", base.base_url), sandbox_hosts)
    return replace(base, **checked)
