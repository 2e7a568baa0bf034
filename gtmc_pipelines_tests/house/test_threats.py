"""The page on threats names a test for each line, and each is there; so is each kind of attack."""

from __future__ import annotations

import ast
import re

from gtmc_pipelines_tests.attack.kinds import KINDS
from gtmc_pipelines_tests.house import rules

PAGE = rules.ROOT / "gtmc_pipelines" / "THREATS.md"
TEXT = PAGE.read_text(encoding="utf-8")
TESTS = rules.ROOT / "gtmc_pipelines_tests"
LINES = [
    line for line in TEXT.splitlines() if line.startswith("|") and not re.match(r"\| *(---|.*\bTest \|$)|\|---", line)
]
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def _functions(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_line_of_the_page_on_threats_names_a_test() -> None:
    assert len(LINES) > 30
    assert [line for line in LINES if not NAMED.search(line)] == []


def test_every_test_the_page_on_threats_names_exists() -> None:
    named = NAMED.findall(TEXT)
    missing = [f"{path}::{name}" for path, name in named if not (TESTS / path).exists() or name not in _functions(path)]
    assert missing == []


def test_every_kind_of_attack_is_on_the_page_and_the_page_names_no_other() -> None:
    assert set(re.findall(r"⚔ `(\w+)`", TEXT)) == set(KINDS)


def test_every_actor_is_told_what_does_not_stop_them() -> None:
    actors = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    assert len(actors) >= 10
    assert [actor.splitlines()[0] for actor in actors if "**Not stopped**" not in actor] == []


def test_every_file_the_page_on_threats_links_to_exists() -> None:
    assert [
        target for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT) if not (PAGE.parent / target).exists()
    ] == []
