"""Every environment variable, read once and validated together. Nothing else reads the environment.

A running embedded stack leaves its addresses in `<home>/stack.json`; they fill in what the
environment doesn't set, so that `gtmc sync` in a second terminal finds the stack of the first.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import psutil
from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gtmc_pipelines.model.database_urls import HOW_TO_WRITE, is_unambiguous
from gtmc_pipelines.model.errors import Misuse

CALLBACK_URL = "http://localhost:8400/callback"
"""What to register at Salesforce and Microsoft: both take plain http for the word `localhost` alone."""

_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
_HOST_PORT = re.compile(r"[^\s/:,@]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_PROXY_URL = re.compile(
    r"http://((?:[^\s:/@%]|%[0-9a-fA-F]{2})+(:(?:[^\s:/@%]|%[0-9a-fA-F]{2})*)?@)?"
    r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}/?"
)
_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_WEB_URL = re.compile(r"https?://[^\s/]\S*")


def _variable(name: str, default: Any = None, **kwargs: Any) -> Any:
    return Field(default=default, validation_alias=AliasChoices(name), **kwargs)


class StackFile(PydanticBaseSettingsSource):
    """Lowest-priority source: what the embedded stack wrote down about itself, while it runs."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Unused by pydantic-settings once `__call__` gives the whole dictionary."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The addresses of the running stack, and the key of its own database. Empty when none runs."""
        home = self.current_state.get("GTMC_HOME") or self.current_state.get("home") or ".gtmc"
        stack = running_stack(Path(str(home)))
        if stack is None:
            return {}
        found: dict[str, Any] = dict(stack.get("environment", {}))
        key_file = stack.get("encryption_key_file")
        if key_file and "GTMC_DATABASE_URL" not in self.current_state:  # never for a database of the user's own
            found["CONNECTOR_ENCRYPTION_KEY"] = Path(key_file).read_text(encoding="utf-8-sig").strip()
        if secrets_file := stack.get("secrets_file"):
            found |= json.loads(Path(secrets_file).read_text())
        return found


def running_stack(home: Path) -> dict[str, Any] | None:
    """`<home>/stack.json`, or None when it is missing, damaged, or the process that wrote it is gone.

    Raises Misuse when the folder belongs to somebody else.
    """
    try:
        stack: dict[str, Any] = json.loads((home / "stack.json").read_text())
        alive = abs(psutil.Process(int(stack["pid"])).create_time() - stack["pid_started"]) < 2  # a pid comes again
    except (FileNotFoundError, NotADirectoryError, ValueError, psutil.NoSuchProcess, KeyError):
        return None
    except PermissionError:
        raise Misuse(
            "home_closed",
            f"The stack under {home} belongs to another user.",
            next_step="Work as that user, or set GTMC_HOME to a folder of your own.",
        ) from None
    return stack if alive else None


class Settings(BaseSettings):
    """All settings. Attribute docs are the README's table of environment variables."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=True)

    home: Path = _variable(
        "GTMC_HOME", Path(".gtmc"), description="Folder of the embedded stack: data, logs, addresses"
    )

    database_url: str | None = _variable(
        "GTMC_DATABASE_URL", repr=False, description="PostgreSQL of the platform; unset: embedded"
    )
    owner_database_url: str | None = _variable(
        "GTMC_OWNER_DATABASE_URL",
        repr=False,
        description="Login that owns the schema, for `gtmc migrate`; unset: the one above",
    )
    dagster_pg_url: str | None = _variable(
        "DAGSTER_PG_URL", repr=False, description="Dagster's storage, postgresql+psycopg2://…"
    )
    temporal_address: str | None = _variable("TEMPORAL_ADDRESS", description="Temporal host:port; unset: embedded")
    temporal_namespace: str = _variable("TEMPORAL_NAMESPACE", "default", description="Temporal namespace")
    temporal_ui_url: str | None = _variable("GTMC_TEMPORAL_UI_URL", description="Base URL for links to workflows")
    dagster_url: str | None = _variable("GTMC_DAGSTER_URL", description="Base URL of the Dagster UI")
    dagster_origins: str = _variable(
        "GTMC_DAGSTER_ADDRESSES",
        "",
        description="Further addresses the Dagster UI is opened at, comma-separated: https://dagster.example.com",
    )
    alert_webhook_url: SecretStr | None = _variable(
        "GTMC_ALERT_WEBHOOK_URL", description="Webhook (Slack or alike) told of failed and recovered syncs"
    )
    task_queue: str = _variable("GTMC_TASK_QUEUE", "connector-sync", description="Temporal task queue of the worker")

    encryption_key: SecretStr | None = _variable(
        "CONNECTOR_ENCRYPTION_KEY", description="Key that seals tokens: 64 hex characters"
    )
    retired_keys: SecretStr | None = _variable(
        "CONNECTOR_ENCRYPTION_KEYS_RETIRED", description="Former keys, comma-separated, only to open"
    )
    token_format: Literal["v1", "v2", "v2-only"] = _variable(
        "GTMC_TOKEN_FORMAT", "v2", description="v1 writes the legacy format, v2-only refuses to read it"
    )

    salesforce_client_id: SecretStr | None = _variable("SALESFORCE_CLIENT_ID", description="Consumer key of the app")
    salesforce_client_secret: SecretStr | None = _variable("SALESFORCE_CLIENT_SECRET", description="Consumer secret")
    salesforce_callback_url: str = _variable(
        "SALESFORCE_CALLBACK_URL", CALLBACK_URL, description="Registered callback, letter by letter"
    )
    salesforce_login_url: str = _variable(
        "SALESFORCE_LOGIN_URL",
        "https://login.salesforce.com",
        description="Login host (test.salesforce.com, My Domain)",
    )
    salesforce_api_version: str = _variable("SALESFORCE_API_VERSION", "66.0", description="REST API version")
    salesforce_bulk_threshold: int = _variable(
        "SALESFORCE_BULK_THRESHOLD", 50_000, ge=0, description="Full syncs of more records use Bulk API 2.0"
    )

    customerio_url: str = _variable(
        "CUSTOMERIO_API_URL", "https://api.customer.io/v1", description="Customer.io's App API in the US"
    )
    customerio_eu_url: str = _variable(
        "CUSTOMERIO_EU_API_URL", "https://api-eu.customer.io/v1", description="The same in the EU"
    )
    customerio_track_url: str = _variable(
        "CUSTOMERIO_TRACK_URL", "https://track.customer.io/api/v1", description="Track host: tells keys that can't read"
    )

    delivrai_url: str = _variable("DELIVRAI_API_URL", "https://api.delivr.ai", description="API of Delivr.ai")
    fathom_base_url: str | None = _variable(
        "FATHOM_BASE_URL", description="API root of Fathom; unset: https://api.fathom.ai/external/v1"
    )

    o365_client_id: SecretStr | None = _variable("O365_CLIENT_ID", description="Application id of the app registration")
    o365_client_secret: SecretStr | None = _variable("O365_CLIENT_SECRET", description="Value of its client secret")
    o365_redirect_uri: str = _variable(
        "O365_REDIRECT_URI", CALLBACK_URL, description="Registered redirect of sign-in and admin consent"
    )
    o365_login_url: str = _variable(
        "O365_LOGIN_URL", "https://login.microsoftonline.com", description="Login host of the Microsoft cloud"
    )
    o365_graph_url: str = _variable(
        "O365_GRAPH_URL", "https://graph.microsoft.com/v1.0", description="Microsoft Graph with its version"
    )
    o365_consent_role: str = _variable(
        "O365_CONSENT_ROLE",
        "",
        pattern=r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$",
        description="Template id of one more directory role whose holders may connect",
    )

    http_proxy: SecretStr | None = _variable(
        "GTMC_HTTP_PROXY",
        description="http://user:password@host:port that vendors are called through; HTTPS_PROXY has no say",
    )
    is_development: bool = _variable(
        "GTMC_DEVELOPMENT", False, description="1 on a development machine, where alone sandbox hosts may be set"
    )
    sandbox_hosts: str = _variable(
        "GTMC_SANDBOX_HOSTS", "", description="host:port list where loopback or http is allowed. Never in production"
    )
    ca_file: Path | None = _variable("GTMC_CA_FILE", description="Extra CA to trust for the sandbox's https")

    page_records: int = _variable("GTMC_PAGE_RECORDS", 2_000, ge=1, le=50_000, description="Records a vendor page")
    segment_records: int = _variable(
        "GTMC_SEGMENT_RECORDS", 250_000, ge=1, description="Records one activity handles before it hands over"
    )
    segment_seconds: int = _variable("GTMC_SEGMENT_SECONDS", 600, ge=1, description="Time bound of the same")
    heartbeat_seconds: int = _variable(
        "GTMC_HEARTBEAT_SECONDS", 30, ge=2, description="A worker silent for longer is dead"
    )
    worker_concurrency: int = _variable("GTMC_WORKER_CONCURRENCY", 8, ge=1, description="Syncs a worker runs at once")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _variable(
        "GTMC_LOG_LEVEL", "INFO", description="Log level"
    )

    @field_validator("encryption_key")
    @classmethod
    def _sixty_four_hex_characters(cls, key: SecretStr | None) -> SecretStr | None:
        if key is None:
            return None
        text = key.get_secret_value().strip("\ufeff \t\r\n")  # what a file written on Windows brings along
        if not _HEX_KEY.fullmatch(text):
            raise ValueError("must be exactly 64 hex characters (32 bytes); make one with: gtmc keys generate")
        return SecretStr(text)

    @field_validator("retired_keys")
    @classmethod
    def _each_sixty_four_hex_characters(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None:
            for position, key in enumerate(keys.get_secret_value().split(","), start=1):
                if not _HEX_KEY.fullmatch(key.strip()):
                    raise ValueError(f"key {position} of the list must be exactly 64 hex characters")
        return keys

    @field_validator("database_url", "owner_database_url", "dagster_pg_url")
    @classmethod
    def _a_postgres_url(cls, url: str | None) -> str | None:
        if url is not None and not is_unambiguous(url):
            raise ValueError(HOW_TO_WRITE)
        return url

    @field_validator("temporal_address", "sandbox_hosts")
    @classmethod
    def _host_and_port(cls, text: str | None) -> str | None:
        for part in (text or "").split(","):
            if part.strip() and not _HOST_PORT.fullmatch(part.strip()):
                raise ValueError("must look like host:port")
        return text

    @field_validator("sandbox_hosts")
    @classmethod
    def _on_a_development_machine_only(cls, text: str, info: ValidationInfo) -> str:
        if text.strip() and not info.data.get("is_development"):
            raise ValueError(
                "lets connectors talk to loopback and plain http, which no machine with real vendors may do; unset it, "
                "or say that this is a development machine: GTMC_DEVELOPMENT=1"
            )
        return text

    @field_validator("http_proxy")
    @classmethod
    def _a_plain_proxy(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _PROXY_URL.fullmatch(url.get_secret_value()):
            raise ValueError(
                "must look like http://host:port or http://user:password@host:port, with @ : / % in user and password "
                "written as %40 %3A %2F %25"
            )
        return url

    @field_validator("temporal_ui_url", "dagster_url")
    @classmethod
    def _an_address_for_browsers(cls, url: str | None) -> str | None:
        if url is not None and not _WEB_URL.fullmatch(url):
            raise ValueError("must begin with http:// or https://")
        if url is not None and "@" in url:
            raise ValueError("must hold no user name and no password: it is shown in links and messages")
        return url

    @field_validator("dagster_origins")
    @classmethod
    def _addresses_without_a_path(cls, text: str) -> str:
        for part in text.split(","):
            if part.strip() and not _ORIGIN.fullmatch(part.strip().rstrip("/")):
                raise ValueError("must look like https://host or http://host:port, without a path")
        return text

    @field_validator("alert_webhook_url")
    @classmethod
    def _an_address_for_posts(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _WEB_URL.fullmatch(url.get_secret_value()):
            raise ValueError("must begin with http:// or https://")
        return url

    @field_validator("ca_file")
    @classmethod
    def _an_existing_file(cls, file: Path | None) -> Path | None:
        if file is not None and not file.is_file():
            raise ValueError("is no file that can be read")
        return file

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit arguments, then the environment, then the running stack's own file."""
        return init_settings, env_settings, StackFile(settings_cls)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value these settings hold, passwords inside URLs too: for whoever masks texts."""
        held = [value.get_secret_value() for value in dict(self).values() if isinstance(value, SecretStr)]
        held += [key.strip() for one in held if "," in one for key in one.split(",")]
        urls = (self.database_url, self.owner_database_url, self.dagster_pg_url)
        for url in (*urls, self.http_proxy.get_secret_value() if self.http_proxy else None):
            password = urlsplit(url or "").password
            held += [password, unquote(password)] if password else []
        return tuple(held)

    @property
    def allowed_sandbox_hosts(self) -> frozenset[str]:
        """`sandbox_hosts` as a set of `host:port`."""
        return frozenset(host.strip() for host in self.sandbox_hosts.split(",") if host.strip())

    @property
    def dagster_addresses(self) -> tuple[str, ...]:
        """Where people open the Dagster UI besides 127.0.0.1 and localhost: `dagster_url` and `dagster_origins`."""
        further = (part.strip().rstrip("/") for part in self.dagster_origins.split(","))
        return tuple(address for address in (self.dagster_url, *further) if address)

    def required(self, name: str) -> Any:
        """The value of a setting that this process can't do without.

        Raises Misuse naming the variable and the next step.
        """
        value = getattr(self, name)
        if value is None:
            variable = variable_of(name)
            raise Misuse(
                "setting_missing",
                f"{variable} is not set and no embedded stack is running under {self.home}.",
                next_step=f"Start one with `gtmc up`, or set {variable}.",
            )
        return value


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process we start: ours, with `changes`.

    The login that owns the schema is given to nobody unasked: only migrations need it.
    """
    own = {name: value for name, value in os.environ.items() if name != variable_of("owner_database_url")}
    return {**own, **changes}


def environment_secret(name: str) -> SecretStr | None:
    """A secret that the user's own file refers to by the name of a variable; None when it isn't set."""
    found = os.environ.get(name)
    return None if found is None else SecretStr(found)


def is_setting(variable: str) -> bool:
    """Whether a variable is one of ours."""
    return any(variable_of(name) == variable for name in Settings.model_fields)


def variable_of(name: str) -> str:
    """The environment variable behind an attribute of Settings."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name.upper()


def load_settings() -> Settings:
    """Read and validate the environment. Raises Misuse that lists every problem at once, values left out."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
    raise Misuse(
        "bad_settings",
        "The settings are malformed: " + "; ".join(problems) + ".",
        next_step="Correct these variables and start again.",
    )
