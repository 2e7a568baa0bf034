"""Renders the tables of connectors/README.md: mappings, scenarios, errors. `python -m` it to mend them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from gtmc_pipelines.connectors.registry import CONNECTORS
from gtmc_pipelines_tests.acceptance.error_rows import error_rows
from gtmc_pipelines_tests.acceptance.subject import Exempt, Subject
from gtmc_pipelines_tests.acceptance.subjects import SUBJECTS

README = Path(__file__).parents[2] / "gtmc_pipelines" / "connectors" / "README.md"


def scenarios_table() -> str:
    """The suite's tests as sentences, file by file."""
    lines = ["| Scenario | In |", "|---|---|"]
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        tree = ast.parse(file.read_text())
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
        lines += [f"| {_sentence(name)} | `{file.name}` |" for name in names]
    return "\n".join(lines)


def exempt_table() -> str:
    """What can't happen at a vendor, and why."""
    lines = ["| Connector | Stream | Scenario | Why it can't happen |", "|---|---|---|---|"]
    for subject in SUBJECTS:
        rows = dict.fromkeys(_exempt(subject))
        lines += [f"| {subject.type.label} | {stream} | {what} | {reason} |" for stream, what, reason in rows]
    return "\n".join(lines)


def error_table() -> str:
    """Answer, leaf, code, sentence and next step, vendor by vendor."""
    lines = ["| Vendor | Answer | Leaf | Code | What the user reads | Next step |", "|---|---|---|---|---|---|"]
    for row in error_rows():
        cells = (row.vendor.label, row.answer, row.leaf, f"`{row.fault.code}`", row.fault.sentence, row.next_step)
        lines.append(_row(*(cell.replace("<", "‹").replace(">", "›") for cell in cells)))
    return "\n".join(lines)


def mapping_table() -> str:
    """Every connector × entity, field by field, as the code has it."""
    lines = [
        "| Connector | Entity | Stream | Source | Canonical field | How | Required |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, connector in CONNECTORS.items():
        for entity, entries in connector.default_mappings().items():
            for entry in entries:
                how = (
                    f"`{' '.join(entry.custom_transform.split())}`" if entry.custom_transform else str(entry.transform)
                )
                cells = (
                    kind.label,
                    entity,
                    entry.stream or "all",
                    f"`{entry.source_field}`",
                    f"`{entry.target_field}`",
                )
                lines.append(_row(*cells, how, "yes" if entry.required else ""))
    return "\n".join(lines)


TABLES = {"mappings": mapping_table, "scenarios": scenarios_table, "exempt": exempt_table, "errors": error_table}


def mended(text: str) -> str:
    """The README's text with every table as it must be now."""
    for name, render in TABLES.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
        assert block.search(text), f"the README has no place for the table {name!r}"
        table = render()
        text = block.sub(lambda found, table=table: found[1] + table + found[2], text)  # type: ignore[misc]
    return text


def _exempt(subject: Subject) -> Iterator[tuple[str, str, str]]:
    if isinstance(subject.rate, Exempt):
        yield "all", "rate limit", subject.rate.reason
    for what, way in (("a member that fails", subject.members), ("a stream that is refused", subject.refusals)):
        if isinstance(way, Exempt):
            yield "all", what, way.reason
    for case in subject.streams:
        for what, way in (("late records", case.late), ("deletions", case.delete)):
            if isinstance(way, Exempt):
                yield case.name, what, way.reason
        if case.same_reader_as:
            yield case.name, "faults of its pages", f"It is read by the code of {case.same_reader_as}."
            continue
        for fault in {**subject.faults, **case.faults}:
            wish = subject.wish(case, fault)
            if isinstance(wish, Exempt):
                yield case.name, fault.value.replace("_", " "), wish.reason


def _sentence(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ").capitalize()


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    README.write_text(mended(README.read_text()))
