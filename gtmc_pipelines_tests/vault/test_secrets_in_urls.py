"""No part of a password is told, wherever in a URL it stands and however the URL is malformed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.defs.alerts import _named
from gtmc_pipelines.model.database_urls import is_unambiguous
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import Settings, load_settings
from gtmc_pipelines.storage.engine import database_url, place_of
from gtmc_pipelines.vault.redaction import Redactor

_PARTS = st.from_regex(r"\A[QXZJKW7]{3,6}\Z")
PASSWORDS = (
    st.tuples(_PARTS, st.text("@:/?#[]% \"'\\&;,=+~<>ä", max_size=3), _PARTS, st.sampled_from(["", "@", "%zz"]))
    .map("".join)
    .filter(lambda text: not re.match(r"\d+(?=\W).*\s", text))
)
"""Digits before a mark and a blank are out: a port for any reader; settings refuse URLs with blanks, unquoted."""
URLS = (
    "postgresql://user:{}@db.example:5432/app",
    "postgres://user:{}@db.example/app?sslmode=require",
    "postgresql+psycopg2://:{}@db.example",
    "postgresql://us@er:{}@[::1]:5432/app",
    "postgresql://user:{}@db.example:port/app",
    "postgresql://user:{}@db.example:5432/app?password={}",
    "postgresql:/user:{}@db.example/app",
    "mysql://user:{}@db.example/app",
    "https://user:{}@hooks.example/services",
    "http://user:{}@proxy.example:3128",
)
VARIABLES = (
    "GTMC_DATABASE_URL",
    "GTMC_OWNER_DATABASE_URL",
    "DAGSTER_PG_URL",
    "GTMC_ALERT_WEBHOOK_URL",
    "GTMC_DAGSTER_URL",
)


def _pieces(password: str) -> set[str]:
    return set(re.findall(r"[QXZJKW7]{3,}", password))


@given(PASSWORDS, st.sampled_from(URLS), st.sampled_from(VARIABLES))
def test_a_setting_that_is_refused_is_not_quoted(password: str, shape: str, variable: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, shape.replace("{}", password))
        try:
            said = repr(load_settings())
        except Misuse as error:
            said = f"{error.sentence} {error.next_step} {error!r} {error.__cause__} {error.__context__}"
    assert not [piece for piece in _pieces(password) if piece in said]


@given(PASSWORDS, st.sampled_from(URLS))
def test_a_database_is_named_without_any_of_its_password(password: str, shape: str) -> None:
    try:
        said = place_of(database_url(shape.replace("{}", password)))
    except Misuse as error:
        said = f"{error.sentence} {error.next_step}"
    assert not [piece for piece in _pieces(password) if piece in said]
    assert "@" not in said.replace("user:password@host", "").replace("with @ / ? #", "")


@given(PASSWORDS, st.sampled_from(URLS))
def test_a_url_in_a_log_loses_all_of_its_password(password: str, shape: str) -> None:
    parameter = password.replace("&", "%26").replace(" ", "%20")  # where every parser ends one
    url = shape.replace("={}", f"={parameter}").replace("{}", password)
    said = Redactor().redact(f"could not reach {url} (timeout)\nnext line") + _named(url)
    assert not [piece for piece in _pieces(password) if piece in said]
    assert said.startswith("could not reach ")
    assert "next line" in said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p%40ss%2Fword@db.example:5432/app?sslmode=require",
        "postgresql+psycopg://user@127.0.0.1:5432/app?passfile=/run/pass",
        "postgres://user@server:pa:ss@db.example/app",
        "postgresql:///app?host=/var/run/postgresql",
        "postgresql://user:pw@[2001:db8::1]:5432/app",
        "postgresql://first.example,second.example/app",
    ],
)
def test_a_url_that_reads_one_way_is_taken(url: str) -> None:
    assert is_unambiguous(url)
    assert database_url(url).get_backend_name() == "postgresql"


def test_settings_tell_maskers_all_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTMC_DATABASE_URL", "postgresql://user:p%40ssword@db.example/app")
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", "\ufeff" + "ab" * 32 + "\r\n")
    monkeypatch.setenv("O365_CLIENT_SECRET", "client-secret-value")
    monkeypatch.setenv("GTMC_HTTP_PROXY", "http://kim:pr%2Foxy@proxy.example:3128")
    settings = Settings()
    assert {"p%40ssword", "p@ssword", "ab" * 32, "client-secret-value", "pr/oxy"} <= set(settings.secrets)
    assert "ssword" not in Redactor(settings.secrets).redact("authentication of p@ssword failed")
