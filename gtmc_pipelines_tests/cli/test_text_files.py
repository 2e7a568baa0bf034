"""Files as Windows writes them are read like any other, wherever a person hands one over."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from gtmc_pipelines.cli.declared.references import Reach, Reference
from gtmc_pipelines.cli.key_input import read_keys
from gtmc_pipelines.cli.mappings_file import read_mapping
from gtmc_pipelines.cli.text_files import decoded, read_text
from gtmc_pipelines.connectors.registry import login_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")


def _bytes(text: str, encoding: str) -> bytes:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    return (mark + text.replace("\n", "\r\n")).encode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_key_is_read_from_a_file_written_on_windows(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "fathom.key"
    file.write_bytes(_bytes("key-of-fathom\n", encoding))
    login = login_of(ConnectorType.FATHOM)
    (secret,) = read_keys(login, file).values()  # type: ignore[arg-type]
    assert secret.reveal() == "key-of-fathom"
    named = Reference("file", file.name, 1, 1, Reach(tmp_path, tmp_path / "home")).resolve()
    assert named is not None
    assert named.reveal() == "key-of-fathom"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_mapping_is_read_from_a_file_written_on_windows(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "person.json"
    entries = [{"sourceField": "LastName", "targetField": "lastName", "transform": "trim"}]
    file.write_bytes(_bytes(json.dumps(entries, indent=1), encoding))
    assert read_mapping(file, Entity.PERSON, ["contacts"])[0].source_field == "LastName"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_standard_input_is_read_the_same_way(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(_bytes("äb\nc", encoding))))
    assert read_text(Path("-"), 100) == "äb\nc"
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeffäb\r\nc"))
    assert read_text(Path("-"), 3) == "äb\n"


def test_what_is_no_text_is_told_and_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\x9f\xff\x00secret")
    with pytest.raises(Misuse, match="can't be read as text"):
        read_keys(login_of(ConnectorType.FATHOM), file)  # type: ignore[arg-type]


def test_a_character_cut_off_at_the_end_is_left_out() -> None:
    assert decoded("äö".encode()[:-1]) == "ä"
