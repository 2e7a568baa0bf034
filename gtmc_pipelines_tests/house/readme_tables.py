"""Renders the README's table of environment variables from the settings. `python -m` it to mend the README."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import SecretStr

from gtmc_pipelines.settings import Settings, variable_of

README = Path(__file__).parents[2] / "README.md"
_TABLE = re.compile(r"<!-- environment-table -->.*?(?=\n## )", re.DOTALL)


def environment_table() -> str:
    """One row per variable: name, default, what it is for."""
    rows = ["<!-- environment-table -->", "| Variable | Default | For |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = "" if default in (None, "") or isinstance(default, SecretStr) else f"`{default}`"
        rows.append(f"| `{variable_of(name)}` | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


def environment_table_in(text: str) -> str:
    """The table as the README has it now."""
    found = _TABLE.search(text)
    return found.group(0) if found else ""


if __name__ == "__main__":
    README.write_text(_TABLE.sub(lambda _: environment_table(), README.read_text()))
