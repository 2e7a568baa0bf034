"""Reads YAML and remembers where everything stands, so that all faults of a file are listed with their lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import yaml

MOST_CHARACTERS = 2_000_000


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong, and where. Never quotes a value: it may be a secret in the wrong place."""

    line: int
    column: int
    sentence: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.sentence}"


@dataclass(slots=True)
class Source:
    """A file's text while it is read; `faults` grows as it goes."""

    text: str
    faults: list[Fault] = field(default_factory=list)

    def root(self) -> yaml.Node | None:
        """The document, or None with a fault noted."""
        if len(self.text) > MOST_CHARACTERS:
            self.faults.append(Fault(1, 1, f"The file is longer than {MOST_CHARACTERS:,} characters."))
            return None
        try:
            node: yaml.Node | None = yaml.compose(self.text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self.faults.append(Fault(*place, "This is no valid YAML."))
            return None
        except (yaml.YAMLError, RecursionError):
            self.faults.append(Fault(1, 1, "This is no valid YAML."))
            return None
        if node is None:
            self.faults.append(Fault(1, 1, "The file is empty."))
        return node

    def blame(self, node: yaml.Node, sentence: str) -> None:
        """Note a fault at a node."""
        self.faults.append(Fault(node.start_mark.line + 1, node.start_mark.column + 1, sentence))

    def pairs(self, node: yaml.Node, what: str) -> list[tuple[yaml.Node, str, yaml.Node]]:
        """Key node, key and value node of each pair. Faults: no mapping, a key that is no text or comes twice."""
        if not isinstance(node, yaml.MappingNode):
            self.blame(node, f"{what} must be a mapping.")
            return []
        found: dict[str, tuple[yaml.Node, str, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.blame(key, f"A key of {what} is no text.")
            elif key.value in found:
                self.blame(key, f"{key.value[:40]!r} comes twice.")
            else:
                found[key.value] = (key, key.value, value)
        return list(found.values())

    def known(self, node: yaml.Node, what: str, names: Iterable[str]) -> dict[str, yaml.Node]:
        """Value nodes of a mapping whose keys must be of `names`; others are faults that name the near ones."""
        names = tuple(names)
        found = {}
        for key, name, value in self.pairs(node, what):
            if name in names:
                found[name] = value
            else:
                self.blame(key, f"{name[:40]!r} means nothing in {what}; {advice(name, names)}")
        return found

    def text_of(self, node: yaml.Node, what: str) -> str | None:
        """A scalar's text, or None with a fault noted."""
        if isinstance(node, yaml.ScalarNode) and node.value.strip() and node.value.isprintable():
            return str(node.value).strip()
        self.blame(node, f"{what} must be a text.")
        return None

    def list_of(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """A list's items, or none with a fault noted."""
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self.blame(node, f"{what} must be a list.")
        return []

    def value_of(self, node: yaml.Node) -> Any:
        """The plain value of a node; None with a fault noted when it isn't one."""
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, RecursionError):
            self.blame(node, "This is no plain value.")
            return None
        finally:
            loader.dispose()


def advice(name: str, names: Iterable[str]) -> str:
    """`did you mean …?`, or all there are."""
    names = list(names)
    near = get_close_matches(name[:100], names, n=2)
    return f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}."
