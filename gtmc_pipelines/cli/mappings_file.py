"""Mapping files: JSON or YAML lists of the documented entries, and every fault in them with its line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from gtmc_pipelines.cli.text_files import read_text
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.mapping.validate import Problem, validate
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse

LARGEST_FILE = 1_000_000  # characters
_EXAMPLE = "It must be a list of entries, as `gtmc mappings show --json` prints them."


def read_mapping(file: Path, entity: Entity, streams: Sequence[str]) -> tuple[MappingEntry, ...]:
    """The entries of a file ('-': standard input) for an entity that `streams` feed.

    Raises Misuse `bad_mapping` that lists every problem with its line, entry and key.
    """
    text = _text(file)
    listed = _parsed(text)
    problems = validate(entity, listed, streams)
    if problems:
        lines = _Lines(text)
        faults = [f"{lines.place_of(problem)}{problem.sentence}" for problem in problems]
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        raise Misuse("bad_mapping", f"The mapping has {count}:", faults=faults, next_step="Nothing was changed.")
    return tuple(MappingEntry.of(entry) for entry in listed)


def _text(file: Path) -> str:
    try:
        text = read_text(file, LARGEST_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8 or UTF-16"
        raise Misuse("mapping_file_unreadable", f"The mapping can't be read from {file}: {cause}.") from None
    if len(text) > LARGEST_FILE:
        raise Misuse("mapping_file_too_large", f"The mapping is larger than {LARGEST_FILE:,} characters.")
    return text


def _parsed(text: str) -> list[Any]:
    listed: Any = None
    try:
        listed = json.loads(text) if text.lstrip().startswith(("[", "{")) else yaml.safe_load(text)
    except json.JSONDecodeError as error:
        where, cause = f"line {error.lineno}, column {error.colno}", error.msg
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        cause = error.problem or "not YAML"
    except (yaml.YAMLError, RecursionError, ValueError):
        where, cause = "somewhere", "nested too deeply, or with characters that no text has"
    else:
        if isinstance(listed, list):
            return listed
        raise Misuse("bad_mapping", "The file holds no list.", next_step=_EXAMPLE)
    raise Misuse("bad_mapping", f"The file is neither JSON nor YAML; {where}: {cause}.", next_step=_EXAMPLE)


class _Lines:
    """Where entries and their keys stand in a file (JSON is read as the YAML it mostly is)."""

    def __init__(self, text: str) -> None:
        self._entries: list[Any] = []
        with suppress(yaml.YAMLError, RecursionError):  # a JSON that YAML can't read: problems come without lines
            root = yaml.compose(text, yaml.SafeLoader)
            self._entries = root.value if isinstance(root, yaml.SequenceNode) else []

    def place_of(self, problem: Problem) -> str:
        """What precedes a problem's sentence; nothing for one of the mapping as a whole."""
        if not problem.position:
            return ""
        place = f"entry {problem.position}, {problem.field}: "
        if problem.position > len(self._entries):
            return place
        return f"line {self._line(problem)}, {place}"

    def _line(self, problem: Problem) -> int:
        entry = self._entries[problem.position - 1]
        keys = entry.value if isinstance(entry, yaml.MappingNode) else []
        node = next((key for key, _ in keys if key.value == problem.field), entry)
        line: int = node.start_mark.line + 1
        return line
