"""Sizes, names and first sentences: what keeps the house readable."""

from __future__ import annotations

import ast
import re

from gtmc_pipelines_tests.house import rules
from gtmc_pipelines_tests.house.each_of import every
from gtmc_pipelines_tests.house.rules import Module

MODULES = rules.source_modules()
TESTS = rules.test_modules()
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
FIRST_SENTENCE = re.compile(r"\S.*?\.(?:\s|$)", re.S)


def functions_of(module: Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in module.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@every([*MODULES, *TESTS])
def test_a_file_stays_short_enough_to_read(module: Module) -> None:
    lines = module.text.count("\n")
    assert lines <= rules.MOST_FILE_LINES, f"{module.name} has {lines} lines; split it by job."


@every([*MODULES, *TESTS])
def test_a_function_fits_on_a_screen(module: Module) -> None:
    long = [
        f"{module.name}:{node.lineno} {node.name} has {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in functions_of(module)
        if (node.end_lineno or 0) - node.lineno + 1 > rules.MOST_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


@every(MODULES)
def test_a_module_begins_with_a_sentence_about_its_job(module: Module) -> None:
    docstring = ast.get_docstring(module.tree) or ""
    paragraph = docstring.split("\n\n")[0]
    assert FIRST_SENTENCE.match(paragraph), f"{module.name} must begin with a docstring whose first sentence ends."
    assert len(paragraph.split()) >= 4, f"{module.name}: the first sentence says too little."


@every([*MODULES, *TESTS])
def test_a_module_is_named_after_what_it_holds(module: Module) -> None:
    names = set(module.path.relative_to(rules.ROOT).with_suffix("").parts)
    banned = names & rules.BANNED_MODULE_NAMES
    assert not banned, f"{module.name}: {banned} names no job."


@every(MODULES)
def test_nothing_is_left_unfinished(module: Module) -> None:
    found = [
        f"{module.name}:{n} {line.strip()}"
        for n, line in enumerate(module.text.splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not found, "\n".join(found)


@every(MODULES)
def test_nothing_prints_past_the_console(module: Module) -> None:
    found = [
        f"{module.name}:{node.lineno}"
        for node in module.nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("print", "breakpoint", "input")
    ]
    assert not found, "\n".join(found)


@every(MODULES)
def test_no_exception_is_swallowed_in_silence(module: Module) -> None:
    found = [
        f"{module.name}:{node.lineno}"
        for node in module.nodes
        if isinstance(node, ast.ExceptHandler) and all(isinstance(line, ast.Pass) for line in node.body)
    ]
    assert not found, "\n".join(found)


@every(MODULES)
def test_no_time_is_naive(module: Module) -> None:
    found = [
        f"{module.name}:{node.lineno}"
        for node in module.nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in ("utcnow", "utcfromtimestamp") or (node.func.attr == "now" and _is_bare_now(node))
    ]
    assert not found, "\n".join(found)


def _is_bare_now(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in ("datetime", "dt") and not call.args and not call.keywords


@every(TESTS)
def test_the_name_of_a_test_reads_as_a_sentence(module: Module) -> None:
    short = [
        f"{module.name}:{node.lineno} {node.name}"
        for node in functions_of(module)
        if module.path.name.startswith("test_") and node.name.startswith("test_") and len(node.name.split("_")) < 5
    ]
    assert not short, "\n".join(short)


@every(TESTS)
def test_no_test_sleeps_to_wait(module: Module) -> None:
    found = [
        f"{module.name}:{node.lineno}"
        for node in module.nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "sleep"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, int | float)
        and node.args[0].value > 0.5
    ]
    assert not found, "Poll a condition with a deadline instead:\n" + "\n".join(found)
