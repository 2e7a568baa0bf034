"""An API key comes from a file, stdin or a prompt, and never from the command line."""

import io
from pathlib import Path

import pytest

from gtmc_pipelines.cli.key_input import read_keys
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.connectors.options import Option, https_url, parse_options, whole_number
from gtmc_pipelines.model.errors import Misuse

KEY = KeyLogin()
PAIR = KeyLogin(("api_key", "webhook_secret"))
OPTIONS = (Option("base_url", "", https_url), Option("limit", "", whole_number(1, 500)))


def test_a_key_file_holds_one_secret_a_line(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("  dlvr_abc \nwhsec\n")
    found = read_keys(PAIR, file)
    assert {name: value.reveal() for name, value in found.items()} == {"api_key": "dlvr_abc", "webhook_secret": "whsec"}
    assert "dlvr_abc" not in repr(found)


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("k-1\n"))
    assert read_keys(KEY, Path("-"))["api_key"].reveal() == "k-1"


def test_without_a_file_the_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt: "k-2")
    assert read_keys(KEY, None)["api_key"].reveal() == "k-2"


@pytest.mark.parametrize("text", ["", "\n", "two words\x00", "clé", "only one\n"])
def test_what_can_not_be_a_key_is_refused_without_being_repeated(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(Misuse) as caught:
        read_keys(PAIR, file)
    assert caught.value.code == "bad_key"
    assert "clé" not in str(caught.value)


def test_a_missing_key_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Misuse) as caught:
        read_keys(KEY, tmp_path / "nowhere")
    assert caught.value.code == "key_file_unreadable"


def test_options_are_typed_and_checked() -> None:
    hosts = frozenset({"127.0.0.1:8080"})
    texts = ["base_url=http://127.0.0.1:8080/", "limit=100"]
    assert parse_options(OPTIONS, texts, hosts) == {"base_url": "http://127.0.0.1:8080", "limit": 100}
    for bad in ("base_url=http://127.0.0.1:8081", "base_url=https://10.0.0.1", "limit=0", "limit=501", "limit=1e2"):
        with pytest.raises(Misuse):
            parse_options(OPTIONS, [bad], hosts)
