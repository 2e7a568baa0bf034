"""Command lines as they are printed in help and guides, read by the command line's own parser without being run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

from typer.main import get_command

from gtmc_pipelines.cli.main import COMMANDS, app


@cache
def commands() -> dict[str, Any]:
    """Every command that does something, by the words that call it."""
    root: Any = get_command(app)
    return dict(_below((name, root.get_command(None, name)) for name in COMMANDS))


def parse(line: str) -> str:
    """The command a line calls, after its parser has taken all options. Raises click's usage error for wrong ones."""
    words = shlex.split(re.split(r"\s[<>|]\s?", line)[0], comments=True)
    assert words[0] == "gtmc", line
    known = commands()
    path = next((" ".join(words[1:end]) for end in (4, 3, 2) if " ".join(words[1:end]) in known), None)
    assert path is not None, f"no such command: {line}"
    known[path].make_context(path, words[1 + len(path.split()) :])
    return path


def _below(found: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for path, command in found:
        children = getattr(command, "commands", None)
        if children is None:
            yield path, command
        else:
            yield from _below((f"{path} {name}", child) for name, child in children.items())
